//! `just kernels`: boots kernels of Debian in qemu, runs every experiment and the crates' tests on each, and writes the table of
//! the book's appendix, kernel by kernel: what agrees, what is skipped, what differs.
//!
//! Everything is below `target/machine`, but for the table, `crates/machine/kernels/table.md`. What was run on a kernel is kept
//! until the kernel, the experiments or the tests change, so an interrupted run goes on where it was.

mod guest;
mod image;
mod kernel;
mod outcome;
mod table;
mod tests;
mod why;

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::place::{Place, read, write};
use crate::programs::{Processor, programs};
use crate::running::{need, say};
use crate::sources::{Experiment, experiments};
use guest::{Ended, Guest, QEMU};
use kernel::{Kernel, Kernels, USUAL};
use outcome::{Outcome, Verdict, of_experiment, of_tests};
use tests::Program;

/// An experiment takes seconds, and a program of tests a minute. An emulated machine is ten times as slow.
const LIMITS: [Duration; 2] = [Duration::from_secs(180), Duration::from_secs(900)];

/// How often something is tried that does not agree: what depends on time can fail on a machine with other things to do.
const TRIES: u32 = 3;

/// What `just kernels` can be told.
#[derive(Args)]
pub struct Options {
    /// Series of Debian's kernels, such as 6.1, or paths of kernels; without any, all of the book's, and the table is written
    kernels: Vec<String>,
    /// Run only these experiments, crates or programs of tests (`zombie,ioloop,cloexec/flags`), and write no table
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Run everything again, and not only what has changed
    #[arg(long)]
    again: bool,
}

/// What came of everything on one kernel.
#[derive(Serialize, Deserialize)]
pub struct Results {
    /// `6.1`.
    pub name: String,
    /// `6.1.176`.
    pub version: String,
    /// What was run.
    digest: String,
    /// The experiments in the order of the book, then the tests.
    pub outcomes: Vec<Outcome>,
}

/// What is run on every kernel.
struct Suite {
    image: PathBuf,
    digest: String,
    /// Each with its transcript.
    experiments: Vec<(Experiment, String)>,
    tests: Vec<Program>,
}

/// Run it.
///
/// # Errors
/// When something that this takes is missing, a kernel does not come up, or one differs and `why.toml` has no sentence on it.
pub fn run(place: &Place, options: &Options) -> Result<()> {
    need("just kernels", &[(QEMU, "qemu-system-x86")])?;
    // Debian's lists for the page's machine are of other releases.
    let own = Place { root: place.root.clone(), work: place.folder("kernels")? };
    let debian = Kernels::set_up(&own)?;
    let suite = suite(place, &debian)?;
    let usual = options.kernels.is_empty();
    let named = if usual { USUAL.map(str::to_owned).to_vec() } else { options.kernels.clone() };
    let mut all = Vec::new();
    for name in &named {
        let kernel = debian.find(name)?;
        all.push(results(&own, &kernel, &suite, options)?);
    }
    let sentences = why::read(place)?;
    let text = table::table(place, &all, &sentences)?;
    if usual && options.only.is_empty() {
        let path = place.source("kernels/table.md");
        write(&path, text.as_bytes())?;
        say(&format!("{} is written", path.display()));
    }
    let untold = table::untold(&all, &sentences);
    if !untold.is_empty() {
        bail!("crates/machine/kernels/why.toml has no sentence on:\n{}", untold.join("\n"));
    }
    Ok(())
}

fn suite(place: &Place, debian: &Kernels) -> Result<Suite> {
    let programs = programs(place, Processor::X86_64)?;
    let (built, digest) = tests::tests(place)?;
    let (image, digest) = image::image(place, &programs, (&built, &digest), debian)?;
    let transcript = |one: Experiment| {
        let text = read(&place.root.join("experiments").join(&one.file).with_extension("txt"))?;
        Ok((one, text))
    };
    let experiments = experiments(place)?.into_iter().map(transcript).collect::<Result<_>>()?;
    Ok(Suite { image, digest, experiments, tests: built.tests })
}

/// What came of everything on a kernel: as it was run before, if nothing has changed since.
fn results(place: &Place, kernel: &Kernel, suite: &Suite, options: &Options) -> Result<Results> {
    let path = place.folder("results")?.join(format!("{}.json", kernel.version));
    let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Results>(&bytes).ok());
    let fits = |kept: &Results| kept.digest == suite.digest && options.only.is_empty() && !options.again;
    if let Some(kept) = kept.filter(fits) {
        say(&format!("Linux {}: as before", kernel.version));
        return Ok(kept);
    }
    let began = Instant::now();
    let mut bench = Bench { place, kernel, image: &suite.image, guest: None, total: 0, done: 0 };
    let wanted = |name: &str| {
        let named = |only: &String| {
            name == only || name.strip_prefix(only.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        options.only.is_empty() || options.only.iter().any(named)
    };
    let experiments: Vec<_> = suite.experiments.iter().filter(|(one, _)| wanted(&one.name)).collect();
    let tests: Vec<_> = suite.tests.iter().filter(|test| wanted(&test.name)).collect();
    bench.total = experiments.len() + tests.len();
    if bench.total == 0 {
        bail!("there is no experiment, crate or program of tests with such a name");
    }
    say(&format!("Linux {}:", kernel.version));
    let mut outcomes = Vec::new();
    for (one, transcript) in experiments {
        let line = format!("{} --plain", one.name);
        outcomes.push(
            bench.judge(&one.name, &line, LIMITS[0], |ended| of_experiment(&one.name, ended, transcript))?,
        );
    }
    for test in tests {
        let line = format!("in-its-crate {} /{}", test.folder.display(), image::path(&test.name));
        outcomes.push(bench.judge(&test.name, &line, LIMITS[1], |ended| of_tests(&test.name, ended))?);
    }
    if !options.only.is_empty() {
        outcomes.iter().for_each(|one| print!("{}", one.printed));
    }
    let results = Results {
        name: kernel.name.clone(),
        version: kernel.version.clone(),
        digest: suite.digest.clone(),
        outcomes,
    };
    say(&format!("  {} in {} s", table::summary(&results), began.elapsed().as_secs()));
    if options.only.is_empty() {
        fs::write(&path, serde_json::to_vec_pretty(&results)?)?;
    }
    Ok(results)
}

/// A kernel, and a machine in which it runs; another machine after a program that hung.
struct Bench<'a> {
    place: &'a Place,
    kernel: &'a Kernel,
    image: &'a Path,
    guest: Option<Guest>,
    total: usize,
    done: usize,
}

impl Bench<'_> {
    /// Run a line until it agrees, or has been tried often enough.
    fn judge(
        &mut self,
        name: &str,
        line: &str,
        limit: Duration,
        judge: impl Fn(Ended) -> Outcome,
    ) -> Result<Outcome> {
        self.done += 1;
        for tries in 1.. {
            if stdout().is_terminal() {
                print!("\r\x1b[K  {} of {}: {name}", self.done, self.total);
                stdout().flush()?;
            }
            let mut outcome = judge(self.run(line, limit)?);
            outcome.tries = tries;
            if outcome.verdict == Verdict::Agrees || tries == TRIES {
                if stdout().is_terminal() {
                    print!("\r\x1b[K");
                }
                if outcome.verdict != Verdict::Agrees {
                    say(&format!("  {name}: {}: {}", table::word(outcome.verdict), outcome.reason));
                }
                return Ok(outcome);
            }
        }
        unreachable!("the last try returns")
    }

    fn run(&mut self, line: &str, limit: Duration) -> Result<Ended> {
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => {
                let console = self.place.folder("console")?.join(format!("{}.txt", self.kernel.version));
                let mut guest = Guest::boot(&self.kernel.image, self.image, &console)?;
                match guest.run("prepare", LIMITS[0]) {
                    Ended::Exited(0, _) => guest,
                    other => bail!("the guest cannot be prepared: {other:?}"),
                }
            }
        };
        let ended = guest.run(line, limit);
        if matches!(ended, Ended::Exited(..)) {
            self.guest = Some(guest);
        }
        Ok(ended)
    }
}
