//! Programs that run under node in the machine that the page has, each in a fresh one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::place::Place;
use crate::running::runs;
use crate::scripts::scripts;
use crate::state::State;

/// What is to run.
#[derive(Serialize, Clone)]
pub struct Wanted {
    /// What the run is called.
    pub name: String,
    /// The program and its arguments.
    pub line: String,
    /// A file that is put into the machine before.
    pub put: Option<Put>,
}

/// A file, and where the machine gets it.
#[derive(Serialize, Clone)]
pub struct Put {
    /// Its path in the machine.
    pub path: String,
    /// The file.
    pub file: PathBuf,
}

/// What came of it.
#[derive(Deserialize)]
pub struct Run {
    /// What the run is called.
    pub name: String,
    /// None if it was stopped after the limit of time.
    pub status: Option<i32>,
    /// What it printed.
    pub text: String,
    /// How long it took, with the machine's start.
    pub seconds: f64,
}

/// The script that runs them. What it did is done again when it changes.
///
/// # Errors
/// When the scripts cannot be written.
pub fn script(place: &Place) -> Result<PathBuf> {
    Ok(scripts(place)?.join("run.mjs"))
}

/// Run these in `at_once` machines at the same time, and pass on what came of each.
///
/// # Errors
/// When a machine does not start; those of `take`.
pub fn run(
    place: &Place,
    state: &State,
    list: &[Wanted],
    at_once: usize,
    mut take: impl FnMut(Run) -> Result<()>,
) -> Result<()> {
    let script = script(place)?;
    let parts = list.chunks(list.len().div_ceil(at_once).max(1));
    let nodes = parts.map(|part| node(&script, state, part)).collect::<Result<Vec<_>>>()?;
    runs(nodes, |line| take(serde_json::from_str(&line).context("run.mjs prints something else than runs")?))
}

fn node(script: &Path, state: &State, list: &[Wanted]) -> Result<Command> {
    let mut node = Command::new("node");
    node.arg(script).args([&state.v86, &state.file]).arg(serde_json::to_string(list)?);
    Ok(node)
}
