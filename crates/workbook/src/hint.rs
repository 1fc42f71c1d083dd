//! Hints: one step further at each call.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::catalogue::{Catalogue, Exercise};
use crate::place;
use crate::style::{self, BOLD, DIM};

#[derive(clap::Args)]
pub struct Options {
    /// The exercise: `cloexec/flags`, or `flags`
    name: String,
    /// Begin again with the first
    #[arg(long)]
    again: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercise = catalogue.exercise(&options.name)?;
    let steps = steps(exercise)?;
    let file = place::memory(&catalogue.root).join("hints.json");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut shown: BTreeMap<String, usize> = serde_json::from_str(&text).unwrap_or_default();
    let before = if options.again { 0 } else { shown.get(&exercise.name).copied().unwrap_or(0) };
    let step = before.min(steps.len() - 1);
    anstream::println!("{BOLD}{}{BOLD:#}, hint {} of {}\n", exercise.name, step + 1, steps.len());
    anstream::println!("{}\n", steps[step]);
    let module = &exercise.short;
    if step + 1 < steps.len() {
        anstream::println!("{DIM}One step further:{DIM:#} {}", style::command(&format!("hint {module}")));
    } else {
        let solution = style::command(&format!("solution {module} --anyway"));
        anstream::println!("{DIM}That was the last. Our answer, if you want it now:{DIM:#} {solution}");
    }
    shown.insert(exercise.name.clone(), step + 1);
    // Where this cannot be remembered the first hint comes again, which is said.
    if let Err(error) = place::write(&file, &serde_json::to_string(&shown)?) {
        anstream::eprintln!("the next call will begin again: {error:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The hints of an exercise, each between mdBook's anchors step-1, step-2, step-3 (a bare number would be a line).
pub fn steps(exercise: &Exercise) -> Result<Vec<String>> {
    let path = exercise.hints();
    let text = place::read(&path)?;
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
