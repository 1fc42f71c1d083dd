//! Prove the exercises, and show what is wrong.

use std::num::NonZero;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Program;
use crate::catalogue::{Catalogue, Exercise};
use crate::output::say;
use crate::proving::{self, Among, Maker, Proof, workers};
use crate::terminal::{self, BAD, BOLD};

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// Run the test of each wrong answer this many times: one that depends on chance passes at last
    #[arg(long, value_name = "N", default_value = "1")]
    times: NonZero<usize>,
    /// Print only a JSON object
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
    let is_caught = |exercise: &Exercise, place: usize, program: &Program| match proving::mistakes(exercise)?
        .get(place)
    {
        Some(Ok(mistake)) => proving::is_caught(exercise, mistake, program, options.times.get()),
        _ => Ok(false),
    };
    if options.among.say(&exercises, is_caught)? {
        return Ok(ExitCode::SUCCESS);
    }
    let steps: Vec<usize> = exercises.iter().map(|exercise| proving::steps(exercise)).collect();
    let maker = Maker::build(&catalogue.root)?;
    let bar = terminal::bar(steps.iter().sum());
    let mut proof = Proof::default();
    let command = ["verify", "--times", &options.times.to_string()];
    let parts =
        workers::each(&command, &catalogue, (&exercises, &steps), options.copy, &bar, |copy, place| {
            let mut part = Proof::default();
            proving::prove(copy, maker.as_ref(), exercises[place], options.times.get(), &mut part, &bar)
                .map(|()| part)
        })?;
    parts.into_iter().for_each(|part| proof.add(part));
    bar.finish_and_clear();
    if options.json {
        // JSON has no colors, even in a terminal.
        let said = proof.faults.iter_mut().chain(&mut proof.by_chance);
        said.for_each(|text| *text = anstream::adapter::strip_str(text).to_string());
        say!("{}", serde_json::to_string_pretty(&proof)?)?;
    } else {
        show(&proof)?;
    }
    Ok(ExitCode::from(u8::from(!proof.faults.is_empty())))
}

fn show(proof: &Proof) -> Result<()> {
    let Proof { references, starters, mistakes, alternatives, faults, by_chance, skipped } = proof;
    let line = |good: bool, text: String, skipped: usize| {
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} not judged") };
        say!("{} {text}{skipped}", terminal::sign(good))
    };
    line(
        references.failed == 0,
        format!("references: {} pass, {} fail", references.passed, references.failed),
        references.skipped,
    )?;
    line(
        starters.passing == 0,
        format!("starters: {} fail as they should, {} pass", starters.failing, starters.passing),
        starters.skipped,
    )?;
    let all = alternatives.passed + alternatives.refused + alternatives.skipped;
    line(
        alternatives.refused == 0,
        format!("alternatives: {} of {all} pass", alternatives.passed),
        alternatives.skipped,
    )?;
    line(
        mistakes.missed == 0,
        format!("mistakes: {} caught, {} missed", mistakes.caught, mistakes.missed),
        mistakes.skipped,
    )?;
    for said in by_chance {
        say!("\n{} by chance: {said}", terminal::neither())?;
    }
    for skipped in skipped {
        say!("\n{} {skipped}", terminal::neither())?;
    }
    for fault in faults {
        say!("\n{BAD}fault{BAD:#} {fault}")?;
    }
    match (faults.is_empty(), skipped.is_empty()) {
        (true, true) => say!("\n{BOLD}The exercises are proved.{BOLD:#}"),
        (true, false) => {
            say!("\n{BOLD}The exercises are proved, except for what this machine cannot be asked.{BOLD:#}")
        }
        _ => Ok(()),
    }
}
