//! Running experiments and tests on a kernel, one after the other.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::crate_tests::Program;
use super::guest::{Ended, Guest};
use super::image;
use super::kernel::Kernel;
use super::outcome::{Outcome, Verdict, of_experiment, of_tests};
use super::table;
use crate::place::Place;
use crate::running::say;
use crate::sources::Experiment;

/// An experiment takes seconds, and a program of tests a minute. An emulated machine is ten times as slow.
const LIMITS: [Duration; 2] = [Duration::from_secs(180), Duration::from_secs(400)];

/// How often something is tried that does not agree: what depends on time can fail on a machine with other things to do.
const TRIES: u32 = 3;

/// Something to run, and how long it may take.
pub struct Job<'a> {
    /// Its name.
    pub name: &'a str,
    line: String,
    limit: Duration,
    /// An experiment has one.
    transcript: Option<&'a str>,
}

impl<'a> Job<'a> {
    /// An experiment, with its transcript.
    pub fn of_experiment((one, transcript): &'a (Experiment, String)) -> Self {
        let line = format!("{} --plain", one.name);
        Self { name: &one.name, line, limit: LIMITS[0], transcript: Some(transcript) }
    }

    /// A program of tests.
    pub fn of_tests(test: &'a Program) -> Self {
        let line = format!("in-its-crate {} /{}", test.folder.display(), image::path(&test.name));
        Self { name: &test.name, line, limit: LIMITS[1], transcript: None }
    }
}

/// A kernel, and a machine in which it runs; another machine after a program that hung.
pub struct Bench<'a> {
    place: &'a Place,
    kernel: &'a Kernel,
    image: &'a Path,
    guest: Option<Guest>,
    total: usize,
    done: usize,
}

impl<'a> Bench<'a> {
    /// For so many jobs. The first of them boots the kernel.
    pub fn new(place: &'a Place, kernel: &'a Kernel, image: &'a Path, total: usize) -> Self {
        Self { place, kernel, image, guest: None, total, done: 0 }
    }

    /// Run it until it agrees, or has been tried often enough, and take the best that came of it.
    ///
    /// # Errors
    /// When the kernel does not come up.
    pub fn judge(&mut self, job: &Job) -> Result<Outcome> {
        self.done += 1;
        let terminal = stdout().is_terminal();
        let mut best: Option<Outcome> = None;
        for tries in 1..=TRIES {
            if terminal {
                print!("\r\x1b[K  {} of {}: {}", self.done, self.total, job.name);
                stdout().flush()?;
            }
            let ended = self.run(&job.line, job.limit)?;
            let mut outcome = match job.transcript {
                Some(transcript) => of_experiment(job.name, ended, transcript),
                None => of_tests(job.name, ended),
            };
            outcome.tries = tries;
            if best.as_ref().is_none_or(|best| outcome.verdict < best.verdict) {
                best = Some(outcome);
            }
            if best.as_ref().is_some_and(|best| best.verdict == Verdict::Agrees) {
                break;
            }
        }
        if terminal {
            print!("\r\x1b[K");
        }
        let best = best.context("it was never tried")?;
        if best.verdict != Verdict::Agrees {
            say(&format!("  {}: {}: {}", best.name, table::word(best.verdict), best.reason));
        }
        Ok(best)
    }

    fn run(&mut self, line: &str, limit: Duration) -> Result<Ended> {
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => {
                let console = self.place.folder("console")?.join(format!("{}.txt", self.kernel.version));
                let boot = || Guest::boot(self.kernel, self.image, &console);
                // With two emulated processors, a kernel that patches its own code at its start can trip over that.
                let mut guest = boot().or_else(|_| boot()).or_else(|_| boot())?;
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
