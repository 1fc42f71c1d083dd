//! Try the mechanical mutants of the references, and show which are alive.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::catalogue::{Catalogue, Exercise};
use crate::output::say;
use crate::proving::mutants::{self, Survey};
use crate::proving::{Among, Maker, Mutant, workers};
use crate::terminal::{self, BAD, BOLD, DIM};

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// Print only a JSON array
    #[arg(long)]
    json: bool,
    /// Work in the copy of this number, and without other workers
    #[arg(long, hide = true)]
    copy: Option<usize>,
    #[command(flatten)]
    among: Among,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercises = catalogue.exercises_called(&options.names)?;
    if options.among.say(&exercises, |_, _, program| mutants::first_failure(program))? {
        return Ok(ExitCode::SUCCESS);
    }
    let maker = Maker::build(&catalogue.root)?.context("crates/mutants is missing, which makes them")?;
    let made: Vec<(&Exercise, Vec<Mutant>)> =
        exercises.iter().map(|exercise| Ok((*exercise, maker.mutants(exercise)?))).collect::<Result<_>>()?;
    let steps: Vec<usize> = made.iter().map(|(_, mutants)| mutants.len()).collect();
    let bar = terminal::bar(steps.iter().sum());
    let parts =
        workers::each(&["mutants"], &catalogue, (&exercises, &steps), options.copy, &bar, |copy, place| {
            let (exercise, mutants) = &made[place];
            Ok(vec![mutants::survey(copy, &maker, exercise, mutants, &bar)?])
        })?;
    let surveys: Vec<Survey> = parts.into_iter().flatten().collect();
    bar.finish_and_clear();
    if options.json {
        say!("{}", serde_json::to_string_pretty(&surveys)?)?;
    } else {
        show(&surveys)?;
    }
    let good = surveys.iter().all(|survey| survey.alive.is_empty() && survey.faults.is_empty());
    Ok(ExitCode::from(u8::from(!good)))
}

fn show(surveys: &[Survey]) -> Result<()> {
    let row = |name: &str, numbers: [usize; 5]| {
        let numbers: String =
            numbers.iter().zip(COLUMNS).map(|(n, title)| format!("{n:>0$}", title.len() + 2)).collect();
        say!("{name:22}{numbers}")
    };
    let titles: String = COLUMNS.iter().map(|title| format!("  {title}")).collect();
    say!("{BOLD}{:22}{titles}{BOLD:#}", "exercise")?;
    let mut all = [0; 5];
    for survey in surveys {
        let Survey { made, does_not_compile, caught, equivalent, .. } = *survey;
        let numbers = [made, does_not_compile, caught, equivalent, survey.alive.len()];
        all.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        row(&survey.exercise, numbers)?;
    }
    if surveys.len() > 1 {
        row("all", all)?;
    }
    for survey in surveys {
        let name = &survey.exercise;
        for alive in &survey.alive {
            say!("\n{BAD}alive{BAD:#} {name}, {alive}")?;
        }
        if survey.skipped > 0 {
            let skipped = survey.skipped;
            say!(
                "\n{DIM}{name}: {skipped} of its tests were skipped, so what is alive may be caught elsewhere{DIM:#}"
            )?;
        }
        for fault in &survey.faults {
            say!("\n{BAD}fault{BAD:#} {name}: {fault}")?;
        }
        for caught in &survey.caught_although_listed {
            say!("\n{DIM}listed as equivalent, but caught:{DIM:#} {name}, {caught}")?;
        }
    }
    if all[4] > 0 {
        say!(
            "\nAn alive one shows a hole in the tests. One that is a right answer too is listed in \
             crates/CRATE/equivalent/NAME.md: `- `, the words above, a colon and the reason."
        )?;
    }
    Ok(())
}

/// What a mutant can be.
const COLUMNS: [&str; 5] = ["made", "does not compile", "caught", "equivalent", "alive"];
