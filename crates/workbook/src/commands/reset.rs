//! Putting an exercise back as it was handed out. What the reader wrote is kept beside it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::catalogue::{Catalogue, Exercise};
use crate::checkout;
use crate::output::say;
use crate::runner::interrupt;

#[derive(clap::Args)]
pub struct Options {
    /// The exercise: `cloexec/flags`, or `flags`
    name: String,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercise = catalogue.exercise(&options.name)?;
    let source = exercise.source();
    // Two at once could keep two files as one name, and one of them would be lost.
    let _alone = checkout::lock(&checkout::memory(&catalogue.root).join("reset.lock"), interrupt::check)?;
    let shown = |path: &PathBuf| catalogue.shown(path);
    if exercise.untouched() {
        say!("{} is as it was handed out: there is nothing to put back.", shown(&source))?;
        return Ok(ExitCode::SUCCESS);
    }
    let starter = checkout::read(&exercise.starter())?;
    if fs::symlink_metadata(&source).is_err() {
        checkout::write(&source, &starter)?;
        say!("{} was missing; it is there again, as it was handed out.", shown(&source))?;
        return Ok(ExitCode::SUCCESS);
    }
    let backup = free_name(exercise);
    // A rename, so that at each moment one of the two names has what the reader wrote.
    fs::rename(&source, &backup).with_context(|| format!("cannot keep yours as {}", shown(&backup)))?;
    checkout::write(&source, &starter).with_context(|| format!("yours is kept as {}", shown(&backup)))?;
    say!("{} is as it was handed out.", shown(&source))?;
    say!("What you wrote is in {}.", shown(&backup))?;
    Ok(ExitCode::SUCCESS)
}

/// `exercises/flags.rs.1.kept`, or the first number that is free.
fn free_name(exercise: &Exercise) -> PathBuf {
    let numbered = |n: u32| exercise.source().with_extension(format!("rs.{n}.kept"));
    (1..).map(numbered).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| numbered(0))
}
