//! The reference, for who has passed.

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::catalogue::Catalogue;
use crate::checkout;
use crate::output::{complain, say};
use crate::terminal::{self, BOLD, DIM};
use crate::verdicts::Verdicts;

#[derive(clap::Args)]
pub struct Options {
    /// The exercise: `cloexec/flags`, or `flags`
    name: String,
    /// Show it although yours does not pass yet
    #[arg(long)]
    anyway: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercise = catalogue.exercise(&options.name)?;
    let passed = Verdicts::load(&catalogue).exercise(exercise) == Some(true);
    if !passed && !options.anyway {
        let module = &exercise.short;
        complain!(
            "Your {} is not known to pass: {}",
            exercise.name,
            terminal::command(&format!("check {module}"))
        );
        complain!("To see ours now: {}", terminal::command(&format!("solution {module} --anyway")));
        return Ok(ExitCode::FAILURE);
    }
    let reference = exercise.reference()?;
    say!("{BOLD}{}{BOLD:#}\n", catalogue.shown(&reference))?;
    for line in checkout::read(&reference)?.lines().filter(|line| !line.trim_start().starts_with("// ANCHOR"))
    {
        say!("{line}")?;
    }
    // To be typed where the reader is, which may be a folder further down.
    let here = env::current_dir()?;
    let up = here.strip_prefix(&catalogue.root).map_or(0, |below| below.components().count());
    let [ours, yours] = [reference, exercise.source()].map(|path| "../".repeat(up) + &catalogue.shown(&path));
    say!("\n{DIM}Beside yours:{DIM:#} git diff --no-index {yours} {ours}")?;
    Ok(ExitCode::SUCCESS)
}
