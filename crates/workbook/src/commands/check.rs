//! Run an exercise's tests and show what they said.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::attempt;
use crate::catalogue::Catalogue;
use crate::output::say;
use crate::runner;
use crate::verdicts::Verdicts;

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// How long the tests may be silent before they are stopped
    #[arg(long, value_name = "SECONDS", default_value_t = runner::IDLE_TIMEOUT.as_secs())]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// Print only a JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercises = catalogue.exercises_called(&options.names)?;
    let mut verdicts = Verdicts::load(&catalogue);
    let mut all = Vec::new();
    for exercise in &exercises {
        let patience = Duration::from_secs(options.patience);
        let attempt = attempt::check(&catalogue, &mut verdicts, exercise, patience)?;
        match exercises.len() {
            _ if options.json => {}
            1 => attempt::show(&catalogue, exercise, &attempt)?,
            _ => attempt::show_line(exercise, &attempt)?,
        }
        all.push(attempt.without_colors());
    }
    if options.json {
        say!("{}", serde_json::to_string_pretty(&all)?)?;
    }
    Ok(ExitCode::from(u8::from(!all.iter().all(|attempt| attempt.passed))))
}
