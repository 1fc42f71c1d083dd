//! Hints: one step further at each call.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use anyhow::Result;

use crate::catalogue::Catalogue;
use crate::output::{complain, say};
use crate::runner::interrupt;
use crate::terminal::{self, BOLD, DIM};
use crate::{checkout, hints};

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
    let steps = hints::steps(exercise)?;
    let file = checkout::memory(&catalogue.root).join("hints.json");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let before = if options.again { 0 } else { known(&text).get(&exercise.name).copied().unwrap_or(0) };
    let step = before.min(steps.len() - 1);
    let module = &exercise.short;
    let next = if step + 1 < steps.len() {
        format!("{DIM}One step further:{DIM:#} {}", terminal::command(&format!("hint {module}")))
    } else {
        let solution = terminal::command(&format!("solution {module} --anyway"));
        format!("{DIM}That was the last. Our answer, if you want it now:{DIM:#} {solution}")
    };
    // In one write: a reader that takes the first line only, such as head(1), would end the tool by SIGPIPE at the second,
    // and the hint would not be remembered.
    say!(
        "{BOLD}{}{BOLD:#}, hint {} of {}\n\n{}\n\n{next}",
        exercise.name,
        step + 1,
        steps.len(),
        steps[step]
    )?;
    // Where this cannot be remembered the first hint comes again, which is said.
    let remembered = checkout::change(&file, interrupt::check, |text| {
        let mut shown = known(&text.unwrap_or_default());
        shown.insert(exercise.name.clone(), step + 1);
        Ok(serde_json::to_string(&shown)?)
    });
    if let Err(error) = remembered {
        complain!("the next call will begin again: {error:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// How many hints of each exercise have been shown.
fn known(text: &str) -> BTreeMap<String, usize> {
    serde_json::from_str(text).unwrap_or_default()
}
