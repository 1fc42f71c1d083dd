//! The program `mutants`, a crate of its own, because it parses Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cargo::{self, Built, Kind};
use crate::catalogue::Exercise;
use crate::{checkout, runner};

/// It, built.
pub struct Maker(PathBuf);

/// One edit, in bytes of the reference.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Mutant {
    /// The function or the constant that it changes.
    pub function: String,
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// Many answers in one source.
#[derive(Debug, Deserialize)]
pub struct Schemata {
    pub source: String,
    pub arms: Vec<Arm>,
}

/// What an answer does in one function: bytes of the source.
#[derive(Debug, Deserialize)]
pub struct Arm {
    /// The answer's place in the list, from 1.
    pub answer: usize,
    pub start: usize,
    pub end: usize,
}

impl Maker {
    /// Build it, in the reader's target folder. None: the checkout has no such crate.
    ///
    /// # Errors
    /// When it cannot be built; `Interrupted` on Ctrl-C.
    pub fn build(root: &Path) -> Result<Option<Self>> {
        if !root.join("crates/mutants").is_dir() {
            return Ok(None);
        }
        match cargo::build(root, None, &["build", "--package", "mutants"])? {
            Built::Programs { programs, .. } => {
                Ok(Some(Self(cargo::find(&programs, "mutants", Kind::Program, "mutants")?.path.clone())))
            }
            Built::Failed(said) => bail!("the program that makes mutants does not compile:\n{said}"),
        }
    }

    /// The mutants of an exercise's reference.
    ///
    /// # Errors
    /// When it has none, or that is not Rust; `Interrupted` on Ctrl-C.
    pub fn mutants(&self, exercise: &Exercise) -> Result<Vec<Mutant>> {
        let reference = exercise.reference()?;
        self.ask("edits", &reference, None).with_context(|| format!("no mutants of {}", reference.display()))
    }

    /// These answers in one source with the exercise's reference. One that does not fit into it has no arm. They are written
    /// to `file` for it.
    ///
    /// # Errors
    /// When there is no reference, or that is not Rust; `Interrupted` on Ctrl-C.
    pub fn schemata(&self, exercise: &Exercise, answers: &[&str], file: &Path) -> Result<Schemata> {
        let reference = exercise.reference()?;
        checkout::write(file, &serde_json::to_string(answers)?)?;
        self.ask("schemata", &reference, Some(file))
            .with_context(|| format!("the answers of {} cannot be put together", exercise.name))
    }

    fn ask<T: DeserializeOwned>(&self, what: &str, reference: &Path, file: Option<&Path>) -> Result<T> {
        let mut command = Command::new(&self.0);
        let (status, output, said) = runner::collect(command.arg(what).arg(reference).args(file))?;
        if !status.success() {
            bail!("{}", said.trim_end());
        }
        Ok(serde_json::from_str(&output)?)
    }
}

impl Mutant {
    /// The reference with this edit.
    pub fn applied(&self, reference: &str) -> Option<String> {
        Some([reference.get(..self.start)?, &self.text, reference.get(self.end..)?].concat())
    }
}
