//! `just machine`: builds the Linux machine that runs the experiments in a page, and tries them in it.
//!
//! Everything is below `target/machine`: nothing is installed, and nothing that is built is committed. The parts, each of
//! which is made only when its inputs have changed:
//!
//! - `programs-i686`: all experiments and the guest's first process as one static program ([`programs`], [`sources`]);
//! - `kernel`: Linux from Debian's source, with our fragment of a configuration and that program inside;
//! - `state`: the machine's memory after it has booted in v86;
//! - `site`: what a page loads.
//!
//! `inputs.toml` pins what they are built from ([`inputs`]).

mod debian;
mod digest;
mod inputs;
mod npm;
mod pin;
mod place;
mod programs;
mod running;
mod sources;
mod step;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::place::Place;
use crate::programs::{Processor, programs};
use crate::running::say;

/// Build the Linux machine that runs the experiments in a page
#[derive(Parser)]
struct Options {
    /// Build only the program, for this processor
    #[arg(long, value_name = "PROCESSOR")]
    programs: Option<Processor>,
    /// Pin the newest versions of everything that the machine is built from
    #[arg(long)]
    pin: bool,
}

fn main() -> ExitCode {
    match carry_out(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("machine: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(options: &Options) -> Result<()> {
    let place = Place::find()?;
    if options.pin {
        return pin::pin(&place);
    }
    let built = programs(&place, options.programs.unwrap_or(Processor::I686))?;
    say(&format!("{}", built.file.display()));
    Ok(())
}
