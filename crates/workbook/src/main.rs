//! The reader's tool: read the arguments, run the command, and give its exit status.
//!
//! Commands use what is below them and never each other. Below: an attempt at an exercise (`attempt`), its tests
//! (`checking`), its proof (`proving`), experiments (`experiment`); below those, what there is (`catalogue`), what passed
//! (`verdicts`), and how things are built (`cargo`) and run (`runner`); at the bottom, where things are (`checkout`) and
//! how they look (`terminal`).

use std::process::ExitCode;

use clap::Parser;
use commands::Command;
use error::{Interrupted, Usage};
use terminal::BAD;

mod attempt;
mod cargo;
mod catalogue;
mod checking;
mod checkout;
mod commands;
mod error;
mod experiment;
mod hints;
mod proving;
mod runner;
mod terminal;
mod verdicts;

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

fn main() -> ExitCode {
    end_quietly_at_a_closed_pipe();
    commands::run(Options::parse().command).unwrap_or_else(|error| {
        if let Some(Usage(message)) = error.downcast_ref() {
            anstream::eprintln!("{BAD}error:{BAD:#} {message}");
            return ExitCode::from(2);
        }
        if error.is::<Interrupted>() {
            anstream::eprintln!("stopped");
            return ExitCode::from(130);
        }
        anstream::eprintln!("{BAD}error:{BAD:#} {error:#}");
        ExitCode::FAILURE
    })
}

/// In `workbook list | head` the reader of the pipe goes first. Rust ignores SIGPIPE, and printing would then
/// panic; by default the signal ends the tool, as it does every program in a pipeline.
fn end_quietly_at_a_closed_pipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default disposition runs no code of ours, and main has set up nothing yet.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
