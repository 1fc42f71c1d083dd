//! Build experiments, run one, and read its verdict.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Deserializer, Value};

use crate::cargo::{self, Built, Kind, Program};
use crate::catalogue::{Catalogue, Experiment};
use crate::error::Usage;
use crate::output::complain;
use crate::runner::{self, Ending};
use crate::terminal::{self, BAD};
use crate::verdicts::{Content, Verdicts};

/// An experiment's program.
pub struct Ready {
    pub program: Program,
    /// What it was built from, and on which kernel.
    content: Content,
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

/// Build the programs of these experiments.
pub fn build(
    catalogue: &Catalogue,
    verdicts: &Verdicts,
    experiments: &[&Experiment],
) -> Result<BTreeMap<String, Ready>> {
    let contents = verdicts.contents(experiments);
    let mut args = vec!["build", "--package", "experiments"];
    experiments.iter().for_each(|e| args.extend(["--bin", &e.name]));
    let spinner = terminal::spinner("compiling".into());
    let built = cargo::build(&catalogue.root, None, &args)?;
    spinner.finish_and_clear();
    let programs = match built {
        Built::Programs { programs, .. } => programs,
        Built::Failed(said) => bail!("the experiments do not compile:\n{}", said.trim_end()),
    };
    let mut found = BTreeMap::new();
    for (experiment, content) in experiments.iter().zip(contents) {
        let program = cargo::find(&programs, "experiments", Kind::Program, &experiment.name)?.clone();
        found.insert(experiment.name.clone(), Ready { program, content });
    }
    Ok(found)
}

/// Run it in front of the reader, who may be asked to predict.
pub fn in_foreground(ready: &Ready, experiment: &Experiment, args: &[&str]) -> Result<Ran> {
    let status = runner::in_foreground(Command::new(&ready.program.path).args(args))?;
    let (verdict, reason) = match status.code() {
        Some(0) => (Verdict::Agrees, None),
        Some(3) => (Verdict::Skipped, None),
        _ => (Verdict::Disagrees, Some(ending(status))),
    };
    if let (None, Some(reason)) = (status.code(), &reason) {
        complain!("{BAD}{}{BAD:#} {reason}", experiment.name);
    }
    match status.code() {
        Some(2) => return Err(Usage(format!("{} refused its options", experiment.name)).into()),
        // It has said why.
        Some(4) => bail!("the report of {} is lost", experiment.name),
        _ => {}
    }
    Ok(Ran { name: experiment.name.clone(), verdict, reason })
}

/// Remember what it came to.
pub fn remember(verdicts: &mut Verdicts, experiment: &Experiment, ready: &Ready, ran: &Ran) {
    match ran.verdict {
        Verdict::Skipped => verdicts.skipped(&experiment.name, ready.content),
        _ => verdicts.agreed(experiment, ready.content, ran.verdict == Verdict::Agrees),
    }
}

/// Run it for its verdict.
pub fn ask(ready: &Ready, experiment: &Experiment) -> Result<Ran> {
    let name = experiment.name.clone();
    let mut command = ready.program.command();
    let outcome = runner::run(command.arg("--json"), runner::IDLE_TIMEOUT, runner::PROCESS_LIMIT)?;
    // A word of warning may stand before the report, or behind it, and have braces of its own.
    let lines = outcome.output.match_indices('{').map(|(at, _)| outcome.output.split_at(at));
    let mut lines = lines.filter(|(before, _)| before.is_empty() || before.ends_with('\n'));
    let parsed = |text| Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    let Some(report) = lines.find_map(|(_, text)| parsed(text)) else {
        let said = terminal::readable(outcome.output.trim());
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

fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(nix::libc::SIGALRM) => "was still running after 60 s, and ended itself".into(),
        Some(signal) => format!("was killed by signal {signal}"),
        None => format!("{status}"),
    }
}
