//! Whether the tests pass, and no more: the first that fails ends them.

use std::time::Duration;

use anyhow::{Context, Result};

use super::shortcut::Shortcut;
use super::{Place, libtest, threads};
use crate::catalogue::Exercise;
use crate::runner;

/// What libtest prints behind the name of a test that failed.
const FAILED: &str = " ... FAILED\n";

/// What libtest prints at the end.
const PASSED: &str = "\ntest result: ok.";

/// The most that is read at once from a program, and therefore all that can be new.
const NEW: usize = 1 << 16;

/// What became of an answer.
#[derive(Debug)]
pub enum Brief {
    DoesNotCompile,
    Passes,
    /// The test that failed first, or how the program ended.
    Fails(String),
}

/// Build the tests on the reader's file as it is, and run them until one fails. Only where [`check`](super::check) has built
/// them before, and nothing but that file has changed since: a call of rustc that fails is laid to the file.
///
/// # Errors
/// When they were not built before, or cannot be started; `Interrupted` on Ctrl-C.
pub fn briefly(place: &Place, exercise: &Exercise, idle: Duration) -> Result<Brief> {
    let memory = place.target.as_deref().context("only a copy is checked briefly")?;
    let shortcut = Shortcut::load(memory, exercise, place.unchanged);
    let shortcut = shortcut.with_context(|| format!("{} was not built before", exercise.name))?;
    let Some(program) = shortcut.build(&place.root, exercise)? else { return Ok(Brief::DoesNotCompile) };
    let enough = |output: &[u8]| {
        let new = &output[output.len().saturating_sub(NEW + FAILED.len())..];
        new.windows(FAILED.len()).any(|text| text == FAILED.as_bytes())
    };
    let (args, limit) = ([threads()], runner::PROCESS_LIMIT);
    let args = args.each_ref().map(String::as_str);
    let outcome = runner::run_until(&program.path, &args, &program.folder, idle, limit, enough)?;
    if outcome.ending.good() && outcome.output.contains(PASSED) {
        return Ok(Brief::Passes);
    }
    let mut lines = outcome.output.lines().filter_map(|line| line.strip_suffix(FAILED.trim_end()));
    let failed =
        lines.find_map(|line| line.split_once("test ")).map(|(_, name)| libtest::without_module(name));
    Ok(Brief::Fails(failed.map_or_else(|| outcome.ending.to_string(), str::to_owned)))
}
