//! The commands: what each is called, and which module runs it. No command uses another one.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

mod check;
mod doctor;
mod hint;
mod latency;
mod list;
mod mutants;
mod reset;
mod run;
mod serve;
mod soak;
mod solution;
mod status;
mod verify;
mod watch;
mod why;

#[derive(Subcommand)]
pub enum Command {
    /// Say where you are and what comes next, as without a command
    Status,
    /// Serve the book on this machine, and run its experiments and checks from the pages
    Serve(serve::Options),
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
    /// Prove the exercises: references and other right answers pass, starters fail, mistakes are caught
    Verify(verify::Options),
    /// Break each reference by one mechanical edit after the other: do the tests notice?
    Mutants(mutants::Options),
    /// Measure how long a reader waits from a save to the verdict, exercise by exercise
    Latency(latency::Options),
    /// Say what this machine has and lacks
    Doctor(doctor::Options),
    /// Run all tests and experiments many times with every core busy, to find what fails rarely
    Soak(soak::Options),
}

/// Run a command; without one, `status`.
///
/// # Errors
/// What the reader must be told, in words; `Usage` and `Interrupted` have exit statuses of their own.
pub fn run(command: Option<Command>) -> Result<ExitCode> {
    match command.unwrap_or(Command::Status) {
        Command::Status => status::run(),
        Command::Serve(options) => serve::run(&options),
        Command::List(options) => list::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Watch(options) => watch::run(&options),
        Command::Why(options) => why::run(&options),
        Command::Hint(options) => hint::run(&options),
        Command::Solution(options) => solution::run(&options),
        Command::Reset(options) => reset::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Latency(options) => latency::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Soak(options) => soak::run(&options),
    }
}
