//! Mechanical mutants of a reference: which of them do the tests let pass?
//!
//! The program `mutants`, a crate of its own, lists the edits: see there for the kinds. One that compiles and passes all
//! tests shows a hole in the tests, or is a right answer too. The latter are listed in `equivalent/NAME.md`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::Copy;
use crate::cargo::{self, Built, Kind};
use crate::catalogue::Exercise;
use crate::checking::{Brief, Checked, Test, Through};
use crate::{checkout, runner};

pub mod equivalent;

use equivalent::Change;

/// One edit, in bytes of the reference.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Mutant {
    /// The function or the constant that it changes.
    pub function: String,
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// What became of the mutants of one exercise.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    pub exercise: String,
    pub made: usize,
    pub does_not_compile: usize,
    pub caught: usize,
    /// Alive, and listed.
    pub equivalent: usize,
    /// Alive, and not listed: each as a line to list it with.
    pub alive: Vec<String>,
    /// Listed, but a test catches it.
    pub caught_although_listed: Vec<String>,
    /// How many tests could not ask this machine. What is alive may be caught elsewhere.
    pub skipped: usize,
    pub faults: Vec<String>,
}

/// The program that lists the edits.
pub struct Maker(PathBuf);

impl Maker {
    /// Build it, in the reader's target folder.
    ///
    /// # Errors
    /// When it cannot be built; `Interrupted` on Ctrl-C.
    pub fn build(root: &Path) -> Result<Self> {
        match cargo::build(root, None, &["build", "--package", "mutants"])? {
            Built::Programs { programs, .. } => {
                Ok(Self(cargo::find(&programs, "mutants", Kind::Program, "mutants")?.path.clone()))
            }
            Built::Failed(said) => bail!("the program that makes mutants does not compile:\n{said}"),
        }
    }

    /// The mutants of an exercise's reference.
    ///
    /// # Errors
    /// When it has none, or that is not Rust; `Interrupted` on Ctrl-C.
    pub fn of(&self, exercise: &Exercise) -> Result<Vec<Mutant>> {
        let reference = exercise.reference()?;
        let (status, output, said) = runner::collect(Command::new(&self.0).arg(&reference))?;
        if !status.success() {
            bail!("no mutants of {}: {}", reference.display(), said.trim_end());
        }
        serde_json::from_str(&output).with_context(|| format!("no mutants of {}", reference.display()))
    }
}

impl Mutant {
    /// The reference with this edit.
    pub fn applied(&self, reference: &str) -> Option<String> {
        Some([reference.get(..self.start)?, &self.text, reference.get(self.end..)?].concat())
    }
}

/// Try all mutants of an exercise in a copy.
///
/// # Errors
/// When the copy cannot be built or written; `Interrupted` on Ctrl-C. What is wrong with the exercise is a fault.
pub fn survey(copy: &Copy, exercise: &Exercise, mutants: &[Mutant], bar: &ProgressBar) -> Result<Survey> {
    let mut survey = Survey { exercise: exercise.name.clone(), made: mutants.len(), ..Survey::default() };
    let reference = checkout::read(&exercise.reference()?)?;
    let listed = match checkout::read(&exercise.equivalent()) {
        Ok(text) => equivalent::parse(&text),
        Err(_) => Vec::new(),
    };
    let wrong = listed.iter().filter_map(|line| line.as_ref().err());
    survey.faults.extend(wrong.map(|wrong| format!("{}: {wrong}", exercise.equivalent().display())));
    let listed: Vec<&Change> = listed.iter().flatten().collect();
    let made: Vec<Option<(Change, String)>> = mutants
        .iter()
        .map(|mutant| {
            let text = mutant.applied(&reference)?;
            Some((Change::between(&mutant.function, &reference, &text), text))
        })
        .collect();
    for change in &listed {
        if !made.iter().flatten().any(|(made, _)| made == *change) {
            survey.faults.push(format!("{}: no mutant is {change}", exercise.equivalent().display()));
        }
    }

    bar.set_message(format!("{}: the reference", exercise.name));
    // Through cargo, so that the way to the tests is known from then on.
    let passes = match copy.test(exercise, &reference, Through::Cargo, None)? {
        Checked::Ran { tests, .. } => {
            survey.skipped = tests.iter().filter(|test| test.skipped.is_some()).count();
            !tests.is_empty() && !tests.iter().any(Test::failed)
        }
        Checked::DoesNotCompile(_) => false,
    };
    if !passes {
        survey.faults.push("the reference does not pass: `verify` says why".to_owned());
        return Ok(survey);
    }
    for mutant in made {
        let (change, text) = mutant.context("an edit lies outside of the reference")?;
        bar.set_message(format!("{}: {change}", exercise.name));
        let is_listed = listed.contains(&&change);
        match copy.test_briefly(exercise, &text)? {
            Brief::DoesNotCompile => survey.does_not_compile += 1,
            Brief::Fails(test) => {
                survey.caught += 1;
                if is_listed {
                    survey.caught_although_listed.push(format!("{change} (by {test})"));
                }
            }
            Brief::Passes if is_listed => survey.equivalent += 1,
            Brief::Passes => survey.alive.push(change.to_string()),
        }
        bar.inc(1);
    }
    copy.put(exercise, &checkout::read(&exercise.starter())?)?;
    Ok(survey)
}
