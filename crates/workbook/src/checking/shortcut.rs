//! Call rustc as cargo called it, when nothing but the reader's file has changed since.
//!
//! cargo takes 0.07 s to find that out, which is a sixth of what a reader waits. What is not certain goes to cargo: a
//! call of rustc that fails, for whatever reason, is made again by cargo, whose words the reader gets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::cargo::{Kind, Program};
use crate::catalogue::Exercise;
use crate::{checkout, runner};

/// How cargo built the tests of an exercise the last time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shortcut {
    /// See [`Place::unchanged`](super::Place::unchanged).
    unchanged: u64,
    /// The call of rustc, quoted for a shell.
    rustc: String,
    program: PathBuf,
    folder: PathBuf,
}

impl Shortcut {
    /// What is remembered in this folder, if it still holds.
    pub fn load(memory: &Path, exercise: &Exercise, unchanged: u64) -> Option<Self> {
        let text = checkout::read(&file(memory, exercise)).ok()?;
        serde_json::from_str(&text).ok().filter(|known: &Self| known.unchanged == unchanged)
    }

    /// Remember a build. Where the folder cannot be written, the next one goes to cargo too.
    pub fn remember(memory: &Path, exercise: &Exercise, unchanged: u64, rustc: String, program: &Program) {
        let (path, folder) = (program.path.clone(), program.folder.clone());
        let known = Self { unchanged, rustc, program: path, folder };
        if let Ok(text) = serde_json::to_string(&known) {
            let _ = checkout::write(&file(memory, exercise), &text);
        }
    }

    /// Call rustc. If it fails, what it said: a line of JSON for each message.
    ///
    /// # Errors
    /// `Interrupted` on Ctrl-C.
    pub fn build(&self, root: &Path, exercise: &Exercise) -> Result<Result<Program, String>> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("exec {}", self.rustc)]).current_dir(root);
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &exercise.krate);
        let (status, _, said) = runner::collect(&mut command)?;
        if !status.success() {
            return Ok(Err(said));
        }
        Ok(Ok(Program {
            package: exercise.krate.clone(),
            kind: Kind::UnitTests,
            name: exercise.krate.clone(),
            path: self.program.clone(),
            folder: self.folder.clone(),
            fresh: false,
            answer: None,
        }))
    }
}

/// Build the tests on the reader's file as it is. Only in a copy in which [`check`](super::check) has built them before, and where nothing but
/// that file has changed since: what a call of rustc says that fails is laid to the file.
///
/// # Errors
/// When they were not built before; `Interrupted` on Ctrl-C.
pub fn rebuild(place: &Place, exercise: &Exercise) -> Result<Result<Program, String>> {
    let memory = place.target.as_deref().context("only a copy is built without cargo")?;
    let shortcut = Shortcut::load(memory, exercise, place.unchanged);
    let shortcut = shortcut.with_context(|| format!("{} was not built before", exercise.name))?;
    shortcut.build(&place.root, exercise)
}

/// Where it is remembered how an exercise is built.
pub fn file(memory: &Path, exercise: &Exercise) -> PathBuf {
    memory.join("shortcuts").join(format!("{}-{}.json", exercise.krate, exercise.module))
}
