//! Run experiments in front of the reader, or all of them a line each.

use std::process::ExitCode;

use anyhow::Result;

use crate::catalogue::{Catalogue, Experiment};
use crate::error::Usage;
use crate::experiment::{self, Ran, Verdict};
use crate::output::say;
use crate::terminal::{self, BOLD, DIM};
use crate::verdicts::Verdicts;

#[derive(clap::Args)]
pub struct Options {
    /// The experiments to run
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Run all of them, a line each
    #[arg(long)]
    all: bool,
    /// Print only a JSON array
    #[arg(long, conflicts_with_all = ["plain", "strace"])]
    json: bool,
    /// Print JSON objects, one a line, each when it happens; for one experiment
    #[arg(long, conflicts_with_all = ["all", "json", "plain", "strace", "draw"])]
    json_lines: bool,
    /// Predict this choice, without being asked
    #[arg(long, value_name = "LETTER", conflicts_with_all = ["all", "json", "strace"])]
    predict: Option<char>,
    /// Print what the book prints: no color, no prompt, and names for what varies
    #[arg(long, conflicts_with = "all")]
    plain: bool,
    /// Show the system calls beside the timeline (needs strace)
    #[arg(long, conflicts_with_all = ["all", "plain"])]
    strace: bool,
    /// Draw what was measured too, into a file; not every experiment has something to draw
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "json", "strace"])]
    draw: Option<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let experiments: Vec<&Experiment> = match options.all {
        true => catalogue.experiments.iter().collect(),
        false => options.names.iter().map(|name| catalogue.experiment(name)).collect::<Result<_>>()?,
    };
    if options.json_lines && experiments.len() > 1 {
        return Err(Usage("--json-lines is for one experiment at a time".into()).into());
    }
    if options.draw.is_some() && experiments.len() > 1 {
        return Err(
            Usage("--draw is for one experiment at a time: the next would replace the file".into()).into()
        );
    }
    let predict = options.predict.map(String::from);
    let mut verdicts = Verdicts::load(&catalogue);
    let programs = experiment::build(&catalogue, &verdicts, &experiments)?;
    let mut all = Vec::new();
    for experiment in experiments {
        let ready = &programs[&experiment.name];
        let ran = if options.all || options.json {
            experiment::ask(ready, experiment)?
        } else {
            let mut flags = Vec::new();
            flags.extend(options.plain.then_some("--plain"));
            flags.extend(options.strace.then_some("--strace"));
            flags.extend(options.json_lines.then_some("--json-lines"));
            flags.extend(predict.iter().flat_map(|letter| ["--predict", letter]));
            flags.extend(options.draw.iter().flat_map(|file| ["--draw", file]));
            experiment::in_foreground(ready, experiment, &flags)?
        };
        experiment::remember(&mut verdicts, experiment, ready, &ran);
        if options.all && !options.json {
            show_line(&ran)?;
        }
        all.push(ran);
    }
    if options.json {
        say!("{}", serde_json::to_string_pretty(&all)?)?;
    }
    Ok(ExitCode::from(u8::from(all.iter().any(|ran| ran.verdict == Verdict::Disagrees))))
}

fn show_line(ran: &Ran) -> Result<()> {
    let reason = ran.reason.as_deref().unwrap_or_default();
    match ran.verdict {
        Verdict::Agrees => say!("{} {:20} agrees", terminal::sign(true), ran.name),
        Verdict::Skipped => say!("{DIM}–{DIM:#} {:20} skipped: {reason}", ran.name),
        Verdict::Disagrees => {
            say!("{} {:20} {BOLD}disagrees{BOLD:#}: {reason}", terminal::sign(false), ran.name)
        }
    }
}
