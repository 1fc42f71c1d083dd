//! Running experiments.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Deserializer, Value};

use crate::cargo::{self, Built, Program};
use crate::catalogue::{Catalogue, Experiment};
use crate::place::Usage;
use crate::style::{self, BAD, BOLD, DIM};
use crate::verdicts::Verdicts;
use crate::watchdog::{self, Ending};

#[derive(clap::Args)]
pub struct Options {
    /// The experiments to run
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Run all of them, a line each
    #[arg(long)]
    all: bool,
    /// Print a JSON array, and nothing else
    #[arg(long, conflicts_with_all = ["plain", "strace"])]
    json: bool,
    /// Print what the book prints: no colour, no prompt, and names for what varies
    #[arg(long, conflicts_with = "all")]
    plain: bool,
    /// Show the system calls beside the timeline (needs strace)
    #[arg(long, conflicts_with_all = ["all", "plain"])]
    strace: bool,
    /// Draw what was measured too, into a file; not every experiment has something to draw
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "json", "strace"])]
    draw: Option<String>,
}

/// What one experiment came to.
#[derive(Debug, Serialize)]
pub struct Ran {
    pub name: String,
    pub verdict: Verdict,
    /// Why it disagrees or was skipped; null when it agrees.
    pub reason: Option<String>,
}

/// Does this kernel do what the book says?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Agrees,
    Disagrees,
    Skipped,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let experiments: Vec<&Experiment> = match options.all {
        true => catalogue.experiments.iter().collect(),
        false => options.names.iter().map(|name| catalogue.experiment(name)).collect::<Result<_>>()?,
    };
    let programs = build(&catalogue, &experiments)?;
    let mut verdicts = Verdicts::load(&catalogue);
    let mut all = Vec::new();
    for experiment in experiments {
        let program = &programs[&experiment.name];
        let ran = if options.all || options.json {
            ask(program, experiment)?
        } else {
            let mut flags = Vec::new();
            flags.extend(options.plain.then_some("--plain"));
            flags.extend(options.strace.then_some("--strace"));
            flags.extend(options.draw.iter().flat_map(|file| ["--draw", file]));
            watch_it(program, experiment, &flags)?
        };
        if ran.verdict != Verdict::Skipped {
            verdicts.agreed(experiment, ran.verdict == Verdict::Agrees);
        }
        if options.all && !options.json {
            show_line(&ran);
        }
        all.push(ran);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(ExitCode::from(u8::from(all.iter().any(|ran| ran.verdict == Verdict::Disagrees))))
}

/// Run one experiment in front of the reader, as the first thing they see.
pub fn first(catalogue: &Catalogue, name: &str) -> Result<()> {
    let experiment = catalogue.experiment(name)?;
    let programs = build(catalogue, &[experiment])?;
    let ran = watch_it(&programs[name], experiment, &[])?;
    if ran.verdict != Verdict::Skipped {
        Verdicts::load(catalogue).agreed(experiment, ran.verdict == Verdict::Agrees);
    }
    Ok(())
}

/// Build the programs of these experiments.
pub fn build(catalogue: &Catalogue, experiments: &[&Experiment]) -> Result<BTreeMap<String, Program>> {
    let mut args = vec!["build", "--package", "experiments"];
    experiments.iter().for_each(|e| args.extend(["--bin", &e.name]));
    let spinner = style::spinner("compiling".into());
    let built = cargo::build(&catalogue.root, None, &args)?;
    spinner.finish_and_clear();
    let Built::Programs(mut programs, _warnings) = built else {
        let Built::Failed(said) = built else { unreachable!("a build succeeds or fails") };
        bail!("the experiments do not compile:\n{}", said.trim_end());
    };
    let mut found = BTreeMap::new();
    for experiment in experiments {
        let program = programs.remove(&format!("experiments: bin {}", experiment.name));
        let program =
            program.with_context(|| format!("cargo built no program called {}", experiment.name))?;
        found.insert(experiment.name.clone(), program);
    }
    Ok(found)
}

/// Run it in front of the reader, who may be asked to predict.
fn watch_it(program: &Program, experiment: &Experiment, args: &[&str]) -> Result<Ran> {
    let status = watchdog::in_front(Command::new(&program.path).args(args))?;
    let (verdict, reason) = match status.code() {
        Some(0) => (Verdict::Agrees, None),
        Some(3) => (Verdict::Skipped, None),
        _ => (Verdict::Disagrees, Some(ending(status))),
    };
    if let (None, Some(reason)) = (status.code(), &reason) {
        anstream::eprintln!("{BAD}{}{BAD:#} {reason}", experiment.name);
    }
    if status.code() == Some(2) {
        return Err(Usage(format!("{} refused its options", experiment.name)).into());
    }
    Ok(Ran { name: experiment.name.clone(), verdict, reason })
}

/// Run it for its verdict.
pub fn ask(program: &Program, experiment: &Experiment) -> Result<Ran> {
    let name = experiment.name.clone();
    let outcome =
        watchdog::run(&program.path, &["--json"], &program.folder, watchdog::SILENCE, watchdog::CROWD)?;
    // A word of warning may stand before the report, or behind it.
    let report = outcome.output.find('{').map(|at| &outcome.output[at..]);
    let report = report.and_then(|text| Deserializer::from_str(text).into_iter::<Value>().next()?.ok());
    let Some(report) = report else {
        let said = outcome.output.trim();
        let reason = format!("it printed no report: {} {said}", outcome.ending);
        return Ok(Ran { name, verdict: Verdict::Disagrees, reason: Some(reason.trim_end().to_owned()) });
    };
    let reason = report["reason"].as_str().map(str::to_owned);
    let code = match &outcome.ending {
        Ending::Ended(status) => status.code(),
        _ => None,
    };
    let (verdict, reason) = match (report["verdict"].as_str(), code) {
        (Some("agrees"), Some(0)) => (Verdict::Agrees, None),
        (Some("skipped"), Some(3)) => (Verdict::Skipped, reason),
        (Some("disagrees"), Some(1)) => (Verdict::Disagrees, reason.or(Some("it gave no reason".into()))),
        (said, _) => {
            let said = said.unwrap_or("nothing");
            (Verdict::Disagrees, Some(format!("its report says {said}, but: {}", outcome.ending)))
        }
    };
    Ok(Ran { name, verdict, reason })
}

fn show_line(ran: &Ran) {
    let reason = ran.reason.as_deref().unwrap_or_default();
    match ran.verdict {
        Verdict::Agrees => anstream::println!("{} {:20} agrees", style::sign(true), ran.name),
        Verdict::Skipped => anstream::println!("{DIM}–{DIM:#} {:20} skipped: {reason}", ran.name),
        Verdict::Disagrees => {
            anstream::println!("{} {:20} {BOLD}disagrees{BOLD:#}: {reason}", style::sign(false), ran.name);
        }
    }
}

fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(nix::libc::SIGALRM) => "was still running after 60 s, and ended itself".into(),
        Some(signal) => format!("was killed by signal {signal}"),
        None => format!("{status}"),
    }
}
