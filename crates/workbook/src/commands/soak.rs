//! Everything, many times, with every core busy: for finding what fails rarely.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, bail};

use crate::cargo::{self, Built, Kind};
use crate::catalogue::Catalogue;
use crate::experiment::{self, Verdict};
use crate::output::say;
use crate::runner;
use crate::terminal::{self, BAD};
use crate::verdicts::Verdicts;

/// Some tests of this tool are of programs that fork without end.
const TESTS_PROCESS_LIMIT: usize = 10 * runner::PROCESS_LIMIT;

#[derive(clap::Args)]
pub struct Options {
    /// How many times
    #[arg(default_value_t = 10)]
    times: u32,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let spinner = terminal::spinner("compiling all tests and experiments".into());
    let built = cargo::build(&catalogue.root, None, &["test", "--workspace", "--no-run"])?;
    let experiments: Vec<_> = catalogue.experiments.iter().collect();
    let programs = experiment::build(&catalogue, &Verdicts::load(&catalogue), &experiments)?;
    spinner.finish_and_clear();
    let mut tests = match built {
        Built::Programs { programs, .. } => programs,
        Built::Failed(said) => bail!("the tests do not compile:\n{}", said.trim_end()),
    };
    tests.retain(|test| test.kind != Kind::Program);

    let done = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failures = thread::scope(|scope| -> Result<BTreeMap<String, Vec<String>>> {
        for _ in 0..cores {
            // A hint that this loop spins would let the core rest, and it is not to rest.
            #[allow(clippy::missing_spin_loop)]
            scope.spawn(|| while !done.load(Ordering::Relaxed) {});
        }
        // However the rounds end, the cores must come to rest, or the scope would wait forever.
        let _rest = SetOnDrop(&done);
        let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let bar = terminal::bar(options.times as usize * (tests.len() + experiments.len()));
        for _ in 0..options.times {
            for test in &tests {
                let name = format!("{}: {}", test.package, test.name);
                bar.set_message(format!("tests of {name}"));
                let idle = runner::IDLE_TIMEOUT * 6;
                let outcome = runner::run(&mut test.command(), idle, TESTS_PROCESS_LIMIT)?;
                if !outcome.ending.good() {
                    let said = format!("{}\n{}", outcome.ending, outcome.output.trim());
                    failures.entry(format!("tests of {name}")).or_default().push(said);
                }
                bar.inc(1);
            }
            for experiment in &experiments {
                bar.set_message(experiment.name.clone());
                let ran = experiment::ask(&programs[&experiment.name], experiment)?;
                if ran.verdict == Verdict::Disagrees {
                    failures.entry(experiment.name.clone()).or_default().push(ran.reason.unwrap_or_default());
                }
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(failures)
    })?;

    for (name, said) in &failures {
        let first = said.first().map_or("", String::as_str);
        say!("{} {name} failed {} times; the first time:\n{first}\n", terminal::sign(false), said.len())?;
    }
    let (tests, experiments, times) = (tests.len(), experiments.len(), options.times);
    match failures.len() {
        0 => say!(
            "{times} rounds of {tests} test programs and {experiments} experiments, {cores} cores busy: nothing failed."
        )?,
        n => say!("{BAD}{n} of {} failed at least once{BAD:#} in {times} rounds.", tests + experiments)?,
    }
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
