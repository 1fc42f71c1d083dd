//! Measure how long a reader waits from saving a changed function body to the verdict.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::catalogue::{Catalogue, Exercise};
use crate::checking::{Checked, Through};
use crate::checkout;
use crate::output::say;
use crate::proving::{self, Copy};
use crate::terminal::{self, BOLD, DIM};
use crate::verdicts::Verdicts;

mod phases;

use phases::Phases;

/// No test has this name, so the program is built and nothing is run.
const NO_TEST: &str = "(none)";

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// One wait.
struct Wait<'a> {
    exercise: &'a Exercise,
    total: Duration,
    phases: Phases,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercises = catalogue.exercises_called(&options.names)?;
    let copy = Copy::make(&catalogue, 1)?;
    let bar = terminal::bar(exercises.len());
    let mut waits = Vec::new();
    for exercise in exercises {
        bar.set_message(exercise.name.clone());
        waits.push(measure(&copy, exercise, options.rounds)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    waits.sort_by_key(|wait| wait.total);
    let header = format!("{:22} {:>7}   {}", "exercise", "total", Phases::HEADER);
    say!("{BOLD}{header}{BOLD:#}")?;
    for Wait { exercise, total, phases } in &waits {
        say!("{:22} {:5.2} s   {phases}", exercise.name, total.as_secs_f64())?;
    }
    let (median, slowest) = (&waits[waits.len() / 2], &waits[waits.len() - 1]);
    let seconds = |wait: &Wait<'_>| format!("{:.2} s", wait.total.as_secs_f64());
    say!(
        "\n{BOLD}median {}, slowest {}{BOLD:#} {DIM}({}){DIM:#}",
        seconds(median),
        seconds(slowest),
        slowest.exercise.name
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The median of some rounds. In each the reader's file is a mistake, and becomes the reference.
fn measure<'a>(copy: &Copy, exercise: &'a Exercise, rounds: u32) -> Result<Wait<'a>> {
    let reference = checkout::read(&exercise.reference()?)?;
    let mistakes = proving::mistakes(exercise)?;
    let mistake = mistakes.iter().flatten().min_by_key(|mistake| mistake.diff.lines().count());
    let mistake =
        proving::edited(mistake.with_context(|| format!("{} has no mistake", exercise.name))?, &reference)?;
    let mut waits = Vec::new();
    for _ in 0..rounds {
        copy.test(exercise, &mistake, Through::Shortcut, Some(&[NO_TEST]))?;
        copy.only_check(exercise)?;
        let start = Instant::now();
        // What the tool itself does before and after.
        let catalogue = Catalogue::discover()?;
        let verdicts = Verdicts::load(&catalogue);
        verdicts.content(exercise);
        verdicts.content(exercise);
        let tool = start.elapsed();
        let Checked::Ran { tests, program, built, .. } =
            copy.test(exercise, &reference, Through::Shortcut, None)?
        else {
            bail!("{}: the reference does not compile", exercise.name);
        };
        let total = start.elapsed();
        if let Some(failed) = tests.iter().find(|test| test.failed()) {
            bail!("{}: the reference fails {}", exercise.name, failed.name);
        }
        let checked = copy.only_check(exercise)?;
        // cargo's own part: nothing has changed since.
        let checked = checked.saturating_sub(copy.only_check(exercise)?);
        let phases = Phases::of(&program, built, tool, total, checked);
        waits.push(Wait { exercise, total, phases });
    }
    waits.sort_by_key(|wait| wait.total);
    Ok(waits.swap_remove(waits.len() / 2))
}
