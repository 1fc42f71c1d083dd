//! `just machine`: builds the Linux machine that runs the experiments in a page, and tries them in it.
//!
//! Everything is below `target/machine`: nothing is installed, and nothing that is built is committed. The parts, each of
//! which is made only when its inputs have changed:
//!
//! - `programs-i686`: all experiments and the guest's first process as one static program ([`mod@programs`], [`sources`]);
//! - `kernel`: Linux from Debian's source, with our fragment of a configuration and that program inside;
//! - `state`: the machine's memory after it has booted in v86, under node;
//! - `experiments`: each of them run once in it, and compared with the book;
//! - `wrong-answers`: of each exercise, a program of wrong answers that its page asks about, and their proof ([`catch`]);
//! - `strace`: that program, for the shell ([`mod@strace`]);
//! - `site`: what a page loads, and the sources of what is in it.
//!
//! `inputs.toml` pins what they are built from ([`inputs`]).

mod catch;
mod debian;
mod digest;
mod initramfs;
mod inputs;
mod kernel;
mod machines;
mod matrix;
mod mirror;
mod notices;
mod npm;
mod pin;
mod place;
mod processor;
mod programs;
mod report;
mod running;
mod scripts;
mod site;
mod sources;
mod state;
mod step;
mod strace;
mod toolchain;
mod trying;

use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::kernel::kernel;
use crate::place::Place;
use crate::processor::Processor;
use crate::programs::{compiler, programs};
use crate::running::{Missing, say};
use crate::site::site;
use crate::state::state;
use crate::strace::strace;
use crate::trying::{counts, once, tried};

/// The exit status when an input or a tool is not to be had.
const MISSING: u8 = 3;

/// The exit status when a part cannot be built for another reason.
const NOT_BUILT: u8 = 4;

/// Build the Linux machine that runs the experiments in a page
///
/// It takes some 15 minutes the first time, 4 GB of disk, and what it names if it is missing: a C compiler, make, flex, bison,
/// bc, node and npm. What is up to date is not built again.
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 every experiment agrees with the book or says why it cannot be asked there, 1 one \
                  disagrees, 3 a package or a tool is not to be had here, 4 a part cannot be built."
)]
struct Options {
    #[command(subcommand)]
    task: Option<Task>,
    /// Then run these experiments in it, or all, in fresh machines, and compare them with the book
    #[arg(long = "try", value_name = "EXPERIMENT", num_args = 0..)]
    names: Option<Vec<String>>,
    /// How many machines `--try` starts for each experiment
    #[arg(long, value_name = "N", default_value_t = 1, requires = "names")]
    times: u32,
    /// Of the wrong answers for the pages, build and prove those of one exercise of each crate only
    #[arg(long, conflicts_with = "programs")]
    few: bool,
    /// Build only the program with all experiments, for this processor
    #[arg(long, value_name = "PROCESSOR", conflicts_with = "names")]
    programs: Option<Processor>,
    /// Pin the newest versions of everything that the machine is built from, and build nothing
    #[arg(long, conflicts_with_all = ["names", "programs"])]
    pin: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Run the experiments and the crates' tests on kernels of Debian, in qemu
    Kernels(matrix::Options),
    /// Prove the wrong answers that the pages of these exercises ask about, or of all
    Catch {
        /// `cloexec/flags`, for example
        exercises: Vec<String>,
    },
}

fn main() -> ExitCode {
    match carry_out(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("machine: {error:#}");
            let is_missing = error.downcast_ref::<Missing>().is_some();
            ExitCode::from(if is_missing { MISSING } else { NOT_BUILT })
        }
    }
}

fn carry_out(options: &Options) -> Result<ExitCode> {
    let place = Place::find()?;
    match &options.task {
        Some(Task::Kernels(options)) => return matrix::run(&place, options).map(|()| ExitCode::SUCCESS),
        Some(Task::Catch { exercises }) => return caught(&place, exercises),
        None => {}
    }
    if options.pin {
        pin::pin(&place)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(processor) = options.programs {
        say(&programs(&place, processor)?.file.display().to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let began = Instant::now();
    // Fetched once for both of what follows, each of which takes one core for most of its time.
    compiler(&place, Processor::I686)?;
    let (programs, strace) = thread::scope(|scope| {
        let strace = scope.spawn(|| strace(&place));
        let programs = programs(&place, Processor::I686);
        (programs, strace.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let (kernel, strace) = (kernel(&place, &programs?)?, strace?);
    let state = state(&place, &kernel)?;
    let mut found = once(&place, &state)?;
    let few = if options.few { catch::one_of_each_crate(&place)? } else { Vec::new() };
    let wrong = catch::programs(&place, &few)?;
    let uncaught = catch::proved(&place, &state, &wrong)?;
    strace::proved(&place, &state, &strace)?;
    let site = site(&place, &kernel, &state, &found, &wrong, &strace)?;
    let size = std::fs::metadata(&state.file)?.len();
    say(&format!(
        "Linux {} in {}, its state {size} bytes: {} s",
        kernel.version,
        site.display(),
        began.elapsed().as_secs()
    ));
    if let Some(names) = &options.names {
        found = tried(&place, &state, names, options.times, 1)?;
    }
    let (agree, skipped, differ) = counts(&found);
    say(&format!("{agree} runs agree with the book, {skipped} are skipped, {differ} differ"));
    let all: usize = wrong.iter().map(|program| program.exercise.asked.len()).sum();
    say(&format!("{all} wrong answers, of which {} fail otherwise than their page says", uncaught.len()));
    uncaught.iter().for_each(|(name, how)| say(&format!("{name}: {how}")));
    Ok(if differ == 0 && uncaught.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prove the wrong answers of some exercises.
fn caught(place: &Place, exercises: &[String]) -> Result<ExitCode> {
    let state = state(place, &kernel(place, &programs(place, Processor::I686)?)?)?;
    let wrong = catch::programs(place, exercises)?;
    let uncaught = catch::proved(place, &state, &wrong)?;
    uncaught.iter().for_each(|(name, how)| say(&format!("{name}: {how}")));
    Ok(if uncaught.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
