//! The reader's tool: where am I, run, check, watch, why, hint, solution, reset, verify, doctor.
//!
//! What is where is discovered from the files (`catalogue`), so that no list can go stale; what passed is
//! remembered by content (`verdicts`), so that it cannot go stale either. Whatever runs the reader's code
//! runs it under a watchdog (`watchdog`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cargo;
mod catalogue;
mod check;
mod doctor;
mod hint;
mod list;
mod place;
mod processes;
mod proving;
mod reset;
mod run;
mod soak;
mod solution;
mod status;
mod style;
mod suite;
mod verdicts;
mod verify;
mod watch;
mod watchdog;
mod why;

/// From the File Descriptor to the Event Loop: the reader's tool.
///
/// Without a command it says where you are and what comes next.
#[derive(Parser)]
#[command(name = "workbook", version, arg_required_else_help = false, infer_subcommands = false)]
#[command(after_help = "Exit status: 0 done, 1 something failed, disagreed or was missed, 2 wrong usage, \
                        130 ended by Ctrl-C.")]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Say where you are and what comes next, as without a command
    Status,
    /// List the chapters' experiments and exercises
    List(list::Options),
    /// Run experiments: ask the kernel, and compare with the book
    Run(run::Options),
    /// Run an exercise's tests on your code
    Check(check::Options),
    /// Check an exercise each time you save it
    Watch(watch::Options),
    /// Say which known wrong answers fail as yours does
    Why(why::Options),
    /// Show the next hint for an exercise
    Hint(hint::Options),
    /// Show the reference, once yours passes
    Solution(solution::Options),
    /// Put an exercise back as it was handed out; yours is kept beside it
    Reset(reset::Options),
    /// Prove the exercises: references pass, starters fail, mistakes are caught
    Verify(verify::Options),
    /// Say what this machine has and lacks
    Doctor(doctor::Options),
    /// Run all tests and experiments many times with every core busy, to find what fails rarely
    Soak(soak::Options),
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let options = Options::parse();
    let result = match options.command {
        None | Some(Command::Status) => status::run(),
        Some(Command::List(options)) => list::run(&options),
        Some(Command::Run(options)) => run::run(&options),
        Some(Command::Check(options)) => check::run(&options),
        Some(Command::Watch(options)) => watch::run(&options),
        Some(Command::Why(options)) => why::run(&options),
        Some(Command::Hint(options)) => hint::run(&options),
        Some(Command::Solution(options)) => solution::run(&options),
        Some(Command::Reset(options)) => reset::run(&options),
        Some(Command::Verify(options)) => verify::run(&options),
        Some(Command::Doctor(options)) => doctor::run(&options),
        Some(Command::Soak(options)) => soak::run(&options),
    };
    result.unwrap_or_else(|error| {
        if let Some(place::Usage(message)) = error.downcast_ref() {
            anstream::eprintln!("{}error:{:#} {message}", style::BAD, style::BAD);
            return ExitCode::from(2);
        }
        if error.is::<watchdog::Interrupted>() {
            anstream::eprintln!("stopped");
            return ExitCode::from(130);
        }
        anstream::eprintln!("{}error:{:#} {error:#}", style::BAD, style::BAD);
        ExitCode::FAILURE
    })
}

/// In `workbook list | head` the reader of the pipe goes first. Rust ignores SIGPIPE, and printing would then
/// panic; the default is to end, as every program in a pipeline does.
fn end_quietly_when_nobody_reads() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default disposition runs no code of ours, and nothing else has been set up yet.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
