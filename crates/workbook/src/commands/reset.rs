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
    // Two at once would keep the starter as well.
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
    let backup = keep(&catalogue, exercise)?;
    checkout::write(&source, &starter).with_context(|| format!("yours is kept as {}", shown(&backup)))?;
    say!("{} is as it was handed out.", shown(&source))?;
    say!("What you wrote is in {}.", shown(&backup))?;
    Ok(ExitCode::SUCCESS)
}

/// Keep what the reader wrote as `exercises/flags.rs.1.kept`, or with the first number that is free: as a second name, which
/// the kernel gives to no file that has it already. The first one stays until the starter takes its place.
fn keep(catalogue: &Catalogue, exercise: &Exercise) -> Result<PathBuf> {
    let source = exercise.source();
    let mut numbers = 1_u32..;
    loop {
        let number = numbers.next().context("every number is taken")?;
        let backup = source.with_extension(format!("rs.{number}.kept"));
        if fs::hard_link(&source, &backup).is_ok() {
            return Ok(backup);
        }
        // Some file systems know only one name of a file, and a folder has no second one.
        if fs::symlink_metadata(&backup).is_err() {
            let shown = || format!("cannot keep yours as {}", catalogue.shown(&backup));
            fs::rename(&source, &backup).with_context(shown)?;
            return Ok(backup);
        }
    }
}
