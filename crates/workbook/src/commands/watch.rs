//! Checking an exercise each time it is saved.

use std::process::ExitCode;

use anyhow::Result;

use crate::attempt;
use crate::catalogue::{Catalogue, Exercise};
use crate::error::Interrupted;
use crate::output::{complain, say};
use crate::runner::{self, interrupt};
use crate::terminal::{BAD, BOLD, DIM};
use crate::verdicts::Verdicts;
use crate::watching::Watch;

#[derive(clap::Args)]
pub struct Options {
    /// The exercise to begin with. Without a name: the first that is open and can be judged here
    name: Option<String>,
    /// Look at the files four times a second, where the file system does not report changes
    #[arg(long)]
    poll: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    interrupt::catch();
    let catalogue = Catalogue::discover()?;
    let mut verdicts = Verdicts::load(&catalogue);
    let first = match &options.name {
        Some(name) => Some(catalogue.exercise(name)?),
        None => {
            let open = catalogue.exercises.iter().filter(|e| verdicts.exercise(e) != Some(true));
            open.min_by_key(|e| verdicts.skips_exercise(e))
        }
    };
    let mut watch = Watch::start(&catalogue.exercises, options.poll)?;
    match first {
        Some(exercise) => check_one(&catalogue, exercise, &mut verdicts)?,
        None => say!("Every exercise is done.")?,
    }
    let how = if options.poll { "looking four times a second" } else { "told by the kernel (inotify)" };
    say!("\n{DIM}Watching crates/*/exercises, {how}. Save a file; Ctrl-C ends.{DIM:#}")?;
    while let Some(saved) = watch.next()? {
        for exercise in saved {
            say!("\n{DIM}───{DIM:#} {BOLD}{}{BOLD:#} was saved", exercise.name)?;
            check_one(&catalogue, exercise, &mut verdicts)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_one(catalogue: &Catalogue, exercise: &Exercise, verdicts: &mut Verdicts) -> Result<()> {
    match attempt::check(catalogue, verdicts, exercise, runner::IDLE_TIMEOUT) {
        Ok(attempt) => attempt::show(catalogue, exercise, &attempt),
        Err(error) if error.is::<Interrupted>() => Err(error),
        // A file may be missing just now; the next save may find it again.
        Err(error) => {
            complain!("{BAD}error:{BAD:#} {error:#}");
            Ok(())
        }
    }
}
