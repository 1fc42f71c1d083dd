//! Whether the tests pass, and no more: the first that fails ends them.

use std::time::Duration;

use anyhow::Result;

use super::each::threads;
use super::libtest;
use crate::cargo::Program;
use crate::runner;

/// What libtest prints behind the name of a test that failed.
const FAILED: &str = " ... FAILED\n";

/// What libtest prints at the end.
const PASSED: &str = "\ntest result: ok.";

/// The most that is read at once from a program, and therefore all that can be new.
const NEW: usize = 1 << 16;

/// What the tests say of an answer.
#[derive(Debug)]
pub enum Brief {
    Passes,
    /// The test that failed first, or how the program ended.
    Fails(String),
}

/// Run these tests until one fails.
///
/// # Errors
/// When they cannot be started; `Interrupted` on Ctrl-C.
pub fn briefly(program: &Program, idle: Duration) -> Result<Brief> {
    let enough = |output: &[u8]| {
        let new = &output[output.len().saturating_sub(NEW + FAILED.len())..];
        new.windows(FAILED.len()).any(|text| text == FAILED.as_bytes())
    };
    let mut command = program.bounded();
    let outcome = runner::run_until(command.arg(threads()), idle, runner::PROCESS_LIMIT, enough)?;
    if outcome.ending.good() && outcome.output.contains(PASSED) {
        return Ok(Brief::Passes);
    }
    let mut lines = outcome.output.lines().filter_map(|line| line.strip_suffix(FAILED.trim_end()));
    let failed =
        lines.find_map(|line| line.split_once("test ")).map(|(_, name)| libtest::without_module(name));
    Ok(Brief::Fails(failed.map_or_else(|| outcome.ending.to_string(), str::to_owned)))
}
