//! Why an exercise fails: the known wrong answers that fail the same test with the same words.

use std::process::ExitCode;

use anyhow::Result;
use mistakes::Mistake;
use serde::Serialize;

use crate::attempt;
use crate::catalogue::{Catalogue, Exercise};
use crate::output::say;
use crate::proving;
use crate::runner;
use crate::terminal::{self, BAD, BOLD, DIM, GOOD};
use crate::verdicts::Verdicts;

#[derive(clap::Args)]
pub struct Options {
    /// The exercise: `cloexec/flags`, or `flags`
    name: String,
    /// Show the wrong code too, although yours does not pass yet
    #[arg(long)]
    anyway: bool,
    /// Print only a JSON object
    #[arg(long)]
    json: bool,
}

/// What is known of the last check.
#[derive(Serialize)]
struct Why<'a> {
    name: &'a str,
    passed: bool,
    mistakes: Vec<Shown<'a>>,
    /// Why no test ran: what rustc said, or that the file is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    sentence: &'a str,
    caught_by: &'a str,
    message: &'a str,
    /// Null while it must not be shown.
    diff: Option<&'a str>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercise = catalogue.exercise(&options.name)?;
    let mut verdicts = Verdicts::load(&catalogue);
    let mut error = None;
    let mut last = verdicts.last(exercise);
    // A file that was saved since its last check is checked first, and so is one of which nothing is known.
    if !last.current || !last.passed && last.mistakes.is_empty() {
        let checked = attempt::check(&catalogue, &mut verdicts, exercise, runner::IDLE_TIMEOUT)?;
        if (checked.error.is_some() || checked.all_skipped()) && !options.json {
            attempt::show(&catalogue, exercise, &checked)?;
            return Ok(ExitCode::FAILURE);
        }
        let skipped =
            checked.all_skipped().then(|| "no test could ask this machine: `check` says why".to_owned());
        error = checked.error.map(|text| anstream::adapter::strip_str(&text).to_string()).or(skipped);
        last.passed = checked.passed;
        last.solved |= checked.passed;
        if !checked.passed {
            last.mistakes = checked.mistakes;
        }
    }
    let known: Vec<Mistake> = proving::mistakes(exercise)?.into_iter().flatten().collect();
    let open = last.solved || options.anyway;
    let mistakes =
        known.iter().filter(|mistake| last.mistakes.contains(&mistake.name)).map(|mistake| Shown {
            name: &mistake.name,
            sentence: &mistake.sentence,
            caught_by: &mistake.caught_by,
            message: &mistake.message,
            diff: open.then_some(&*mistake.diff),
        });
    let why = Why { name: &exercise.name, passed: last.passed, mistakes: mistakes.collect(), error };
    match options.json {
        true => say!("{}", serde_json::to_string_pretty(&why)?)?,
        false => show(exercise, &why)?,
    }
    Ok(ExitCode::from(u8::from(why.error.is_some())))
}

fn show(exercise: &Exercise, why: &Why<'_>) -> Result<()> {
    let Why { name, passed, mistakes, .. } = why;
    let short = &exercise.short;
    match (passed, mistakes.is_empty()) {
        (true, true) => {
            say!("{BOLD}{name}{BOLD:#} passes, and no known wrong answer failed as yours did before.")?;
        }
        (true, false) => {
            say!("{BOLD}{name}{BOLD:#} passes. Before, it failed as these wrong answers do:")?;
        }
        (false, true) => {
            say!("No known wrong answer to {BOLD}{name}{BOLD:#} fails as yours does.")?;
            say!("{DIM}A hint:{DIM:#} {}", terminal::command(&format!("hint {short}")))?;
        }
        (false, false) => say!("{BOLD}{name}{BOLD:#} fails as these wrong answers do:")?,
    }
    for mistake in mistakes {
        say!("\n  {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", mistake.name, mistake.caught_by)?;
        say!("    {}", mistake.sentence)?;
        for line in mistake.diff.iter().flat_map(|diff| diff.lines()) {
            match line.as_bytes().first() {
                Some(b'+') => say!("      {GOOD}{line}{GOOD:#}")?,
                Some(b'-') => say!("      {BAD}{line}{BAD:#}")?,
                _ => say!("      {line}")?,
            }
        }
    }
    if mistakes.iter().any(|mistake| mistake.diff.is_none()) {
        let anyway = terminal::command(&format!("why {short} --anyway"));
        say!("\n{DIM}Their code is shown once yours passes. To see it now:{DIM:#} {anyway}")?;
    }
    Ok(())
}
