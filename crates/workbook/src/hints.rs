//! The hints of an exercise: three steps, each between mdBook's anchors.

use anyhow::{Result, bail};

use crate::catalogue::Exercise;
use crate::checkout;

/// Read the hints. Their anchors are step-1, step-2 and step-3: to mdBook a bare number would be a line.
///
/// # Errors
/// When the file is missing, has no hint, or has a hint without an end.
pub fn steps(exercise: &Exercise) -> Result<Vec<String>> {
    let path = exercise.hints();
    let text = checkout::read(&path)?;
    let mut steps = Vec::new();
    while let Some((_, rest)) = text.split_once(&format!("<!-- ANCHOR: step-{} -->", steps.len() + 1)) {
        let Some((step, _)) = rest.split_once(&format!("<!-- ANCHOR_END: step-{} -->", steps.len() + 1))
        else {
            bail!("{}: the hint {} has no end", path.display(), steps.len() + 1)
        };
        steps.push(step.trim().to_owned());
    }
    if steps.is_empty() {
        bail!("{} has no hints", path.display());
    }
    Ok(steps)
}
