//! Right answers of another construction than the reference, in `alternatives/NAME-1.rs` and so on: no test may refuse one.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use indicatif::ProgressBar;

use super::copy::Copy;
use super::proof::Proof;
use crate::catalogue::Exercise;
use crate::checking::{Checked, Through};
use crate::checkout;

/// The alternatives of an exercise, in the order of their names.
pub fn of(exercise: &Exercise) -> Vec<PathBuf> {
    let prefix = format!("{}-", exercise.module);
    let entries = fs::read_dir(exercise.folder.join("alternatives")).into_iter().flatten().flatten();
    let is_one = |name: &str| name.starts_with(&prefix) && name.ends_with(".rs");
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_one))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Prove that each passes all tests. It counts as a reference.
pub fn prove(copy: &Copy, exercise: &Exercise, proof: &mut Proof, bar: &ProgressBar) -> Result<()> {
    for path in of(exercise) {
        let file = path.file_name().unwrap_or_default().display();
        bar.set_message(format!("{}: the right answer {file}", exercise.name));
        let fault = match copy.test(exercise, &checkout::read(&path)?, Through::Shortcut, None)? {
            Checked::Ran { tests, .. } => tests.iter().find(|test| test.failed()).map(|test| {
                let words = test.message.as_deref().unwrap_or("without a word");
                format!("is refused by {}: {words}", test.name)
            }),
            Checked::DoesNotCompile(said) => Some(format!("does not compile:\n{said}")),
        };
        match fault {
            None => proof.references.passed += 1,
            Some(fault) => {
                proof.references.failed += 1;
                proof.faults.push(format!("{}: the right answer {file} {fault}", exercise.name));
            }
        }
        bar.inc(1);
    }
    Ok(())
}
