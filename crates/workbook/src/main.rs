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
use output::complain;
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
mod output;
mod proving;
mod runner;
mod terminal;
mod verdicts;
mod watching;

/// From the File Descriptor to the Event Loop: the reader's tool.
///
/// Without a command it says where you are and what comes next.
#[derive(Parser)]
#[command(name = "workbook", version, arg_required_else_help = false, infer_subcommands = false)]
#[command(
    after_help = "Exit status: 0 done; 1 something failed, disagreed or was missed, or the output cannot be \
                        written; 2 wrong usage; 130 ended by Ctrl-C."
)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    take_default_signals();
    terminal::respect_dumb_terminals();
    run().unwrap_or_else(|error| {
        if let Some(Usage(message)) = error.downcast_ref() {
            complain!("{BAD}error:{BAD:#} {message}");
            return ExitCode::from(2);
        }
        if error.is::<Interrupted>() {
            complain!("stopped");
            return ExitCode::from(130);
        }
        complain!("{BAD}error:{BAD:#} {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    match Options::try_parse() {
        Ok(options) => commands::run(options.command),
        Err(said) if said.use_stderr() => {
            output::error_text(&said.render().ansi().to_string());
            Ok(ExitCode::from(2))
        }
        // --help and --version.
        Err(said) => output::text(&said.render().ansi().to_string()).map(|()| ExitCode::SUCCESS),
    }
}

/// Take back what the tool inherited and cannot work with, for itself and all that it starts.
///
/// - SIGPIPE: in `workbook list | head` the reader of the pipe goes first. Rust ignores the signal, and printing would
///   then fail; by default the signal ends the tool, as it does every program in a pipeline.
/// - SIGCHLD: while it is ignored, the kernel keeps no status of a child, and wait(2) fails with ECHILD.
/// - Blocked signals: Ctrl-C would not arrive, neither here nor in a test.
///
/// SIGINT, SIGTERM and SIGHUP stay ignored where they are, as under nohup: that was meant.
fn take_default_signals() {
    use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
    for inherited in [Signal::SIGPIPE, Signal::SIGCHLD] {
        // SAFETY: the default disposition runs no code of ours, and main has set up nothing yet.
        let _ = unsafe { signal(inherited, SigHandler::SigDfl) };
    }
    let _ = SigSet::empty().thread_set_mask();
}
