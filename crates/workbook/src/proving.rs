//! What is proved of an exercise is in files: its reference, its starter, and its mistakes.

use anyhow::{Result, anyhow};

use crate::catalogue::Exercise;
use crate::place;
use crate::suite::Test;

mod edit;
mod mistakes;

pub use mistakes::Mistake;

/// The mistakes of an exercise, in the order of their file. One that cannot be read says why, after its name.
///
/// # Errors
/// When there is no such file.
pub fn mistakes(exercise: &Exercise) -> Result<Vec<Result<Mistake, String>>> {
    Ok(mistakes::parse(&place::read(&exercise.mistakes())?))
}

/// The names of the mistakes whose test is among these, and failed with their message.
pub fn failing_alike(exercise: &Exercise, tests: &[Test]) -> Vec<String> {
    let alike = |mistake: &Mistake| {
        let says = |message: &String| message.contains(&mistake.message);
        tests.iter().any(|test| test.name == mistake.caught_by && test.message.as_ref().is_some_and(says))
    };
    if tests.iter().all(|test| test.passed) {
        return Vec::new();
    }
    // A file that is missing knows none, which `verify` and the checks of the repository complain of.
    let known = mistakes(exercise).unwrap_or_default();
    known.into_iter().flatten().filter(alike).map(|mistake| mistake.name).collect()
}

/// The reference with this mistake in it.
///
/// # Errors
/// When a hunk does not match exactly one place of the reference.
pub fn edited(mistake: &Mistake, reference: &str) -> Result<String> {
    edit::apply(&mistake.hunks, reference).map_err(|wrong| anyhow!(wrong))
}
