//! `just kernels`: boots kernels of Debian in qemu, runs every experiment and the crates' tests on each, and writes the table of
//! the book's appendix, kernel by kernel: what agrees, what is skipped, what differs. A kernel for 64-bit ARM runs no tests.
//!
//! Everything is below `target/machine`, but for the table, `crates/machine/kernels/table.md`. What was run on a kernel is kept
//! until the kernel, the experiments or the tests change, so an interrupted run goes on where it was.

mod bench;
mod crate_tests;
mod guest;
mod image;
mod kernel;
mod outcome;
mod table;
mod why;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::place::{Place, read, write};
use crate::processor::Processor;
use crate::programs::programs;
use crate::running::{need, say};
use crate::sources::{Experiment, experiments};
use bench::{Bench, Job};
use crate_tests::{Built, Program};
use kernel::{Kernel, Kernels, USUAL};
use outcome::{Results, Verdict};

/// What `just kernels` can be told.
#[derive(Args)]
pub struct Options {
    /// Series of Debian's kernels (6.1, 6.12-arm64), or paths of kernels; without any, all of the book's, and the table is written
    kernels: Vec<String>,
    /// Run only these experiments, crates or programs of tests (`zombie,ioloop,cloexec/flags`), and write no table
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Run everything again, and not only what has changed or differed
    #[arg(long)]
    again: bool,
    /// Run no tests: of them, only what was run before is in the table
    #[arg(long)]
    no_tests: bool,
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
    // Debian's lists for the page's machine are of other releases.
    let own = Place { root: place.root.clone(), work: place.folder("kernels")? };
    let debian = Kernels::set_up(&own)?;
    let usual = options.kernels.is_empty();
    let named = if usual { USUAL.map(str::to_owned).to_vec() } else { options.kernels.clone() };
    let with_suite = |name: &String| {
        let kernel = debian.find(name)?;
        let suite = suite(place, &debian, kernel.processor)?;
        Ok((kernel, suite))
    };
    // Whatever is missing is found before the first kernel is booted.
    let kernels = named.iter().map(with_suite).collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for (kernel, suite) in &kernels {
        let mut results = results(&own, kernel, suite, options, Part::Experiments)?;
        results.outcomes.extend(self::results(&own, kernel, suite, options, Part::Tests)?.outcomes);
        all.push(results);
    }
    let sentences = why::read(place)?;
    let tests = kernels.iter().map(|(_, suite)| suite.tests.len()).max().unwrap_or(0);
    let text = table::table(place, &all, &sentences, tests)?;
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

fn suite(place: &Place, debian: &Kernels, processor: Processor) -> Result<Suite> {
    need("just kernels", &[guest::qemu(processor)])?;
    let programs = programs(place, processor)?;
    // The crates' tests are built for 64-bit x86 only.
    let (built, digest) = match processor {
        Processor::X86_64 => crate_tests::tests(place)?,
        _ => (Built::default(), String::new()),
    };
    let (image, digest) = image::image(place, &programs, (&built, &digest), debian, processor)?;
    let transcript = |one: Experiment| {
        let text = read(&place.root.join("experiments").join(&one.file).with_extension("txt"))?;
        Ok((one, text))
    };
    let experiments = experiments(place)?.into_iter().map(transcript).collect::<Result<_>>()?;
    Ok(Suite { image, digest, experiments, tests: built.tests })
}

/// What is kept apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Experiments,
    Tests,
}

/// What came of one part on a kernel: as it was run before, if nothing has changed since.
fn results(place: &Place, kernel: &Kernel, suite: &Suite, options: &Options, part: Part) -> Result<Results> {
    let (name, suffix) = if part == Part::Tests { ("tests", "tests.json") } else { ("experiments", "json") };
    let path = place.folder("results")?.join(format!("{}.{suffix}", kernel.version));
    let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Results>(&bytes).ok());
    let fits = |kept: &Results| kept.digest == suite.digest && options.only.is_empty() && !options.again;
    let kept = kept.filter(fits).map_or_else(Vec::new, |kept| kept.outcomes);
    let mut results = Results {
        name: kernel.name.clone(),
        version: kernel.version.clone(),
        digest: suite.digest.clone(),
        outcomes: kept,
    };
    let began = Instant::now();
    let mut left = suite.jobs(part, options);
    // What differed may have lacked time.
    let is_kept =
        |name: &str| results.outcomes.iter().any(|one| one.name == name && one.verdict != Verdict::Differs);
    left.retain(|job| !is_kept(job.name));
    if left.is_empty() {
        return Ok(results);
    }
    say(&format!("Linux {}, {name}:", kernel.version));
    let mut bench = Bench::new(place, kernel, &suite.image, left.len());
    for job in &left {
        let outcome = bench.judge(job)?;
        results.outcomes.retain(|one| one.name != job.name);
        results.outcomes.push(outcome);
        if options.only.is_empty() {
            fs::write(&path, serde_json::to_vec_pretty(&results)?)?;
        }
    }
    if !options.only.is_empty() {
        results.outcomes.iter().for_each(|one| print!("{}", one.printed));
    }
    say(&format!("  {} in {} s", table::summary(&results), began.elapsed().as_secs()));
    Ok(results)
}

impl Suite {
    fn jobs(&self, part: Part, options: &Options) -> Vec<Job<'_>> {
        let wanted = |name: &str| {
            let named = |only: &String| {
                name == only || name.strip_prefix(only.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            options.only.is_empty() || options.only.iter().any(named)
        };
        let mut jobs: Vec<_> = match part {
            Part::Experiments => self.experiments.iter().map(Job::of_experiment).collect(),
            Part::Tests if options.no_tests => Vec::new(),
            Part::Tests => self.tests.iter().map(Job::of_tests).collect(),
        };
        jobs.retain(|job| wanted(job.name));
        jobs
    }
}
