//! What is proved of an exercise is in files: its reference, its starter, and its mistakes.

use anyhow::{Result, anyhow};

use crate::catalogue::Exercise;
use crate::place;

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

/// The reference with this mistake in it.
///
/// # Errors
/// When a hunk does not match exactly one place of the reference.
pub fn edited(mistake: &Mistake, reference: &str) -> Result<String> {
    edit::apply(&mistake.hunks, reference).map_err(|wrong| anyhow!(wrong))
}
