//! The live book: `cargo workbook serve` builds the book, serves it on this machine alone, and runs its experiments and checks
//! for the reader's browser.
//!
//! - `guard`, `routes`, `token`, `refusal`: which requests get through, and to what; `headers`: what the browser may do then;
//! - `app`: what a request does; `catalogue`, `progress`: what there is, and what the reader has done;
//! - `runs`, `child`: experiments and checks, as child processes on the loop;
//! - `book`, and in a child process `build`, `scripts`: the book;
//! - `hub`, `trace`, `block`: the page about the loop that serves it.
//!
//! The interface: [`routes::ROUTES`]. `GET /api/hello` says `{"workbook":1}`; `GET /api/progress` what the reader has done.
//! `POST /api/run {"experiment":NAME,"prediction":LETTER}`, `POST /api/check {"exercise":NAME}` and `POST /api/events {}` are
//! answered with JSON, one object a line, each with a `kind`: those of `--json-lines` of an experiment, `progress` while
//! something is compiled, `result` of a check, and the events `reload`, `saved`, `progress`, `trace`, `blocked` and `bye`.
//! Closing a stream ends what runs for it. `POST /api/block {"ms":300}` blocks the loop, `POST /api/slow {}` opens a slow client.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod app;
mod block;
mod book;
mod build;
mod catalogue;
mod child;
mod guard;
mod headers;
mod hub;
mod progress;
mod refusal;
mod routes;
mod runs;
mod scripts;
mod serve;
mod token;
mod trace;

/// Serve the book on this machine, with its experiments and checks
#[derive(Parser)]
#[command(
    name = "serve",
    after_help = "Exit status: 0 ended by Ctrl-C or SIGTERM; 1 it cannot serve; 2 wrong usage."
)]
pub struct Options {
    /// The port; without it, the first free one from 4000 on
    #[arg(long)]
    port: Option<u16>,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
    /// Serve although you are root: then what the book runs is root too
    #[arg(long)]
    as_root: bool,
    /// The checkout
    #[arg(long, hide = true)]
    root: Option<PathBuf>,
    /// The reader's tool
    #[arg(long, hide = true)]
    tool: Option<PathBuf>,
    /// Where the book is built
    #[arg(long, hide = true)]
    into: Option<PathBuf>,
    /// Serve this folder instead of building the book
    #[arg(long, hide = true)]
    built: Option<PathBuf>,
    /// The exercises on whose files this program was compiled
    #[arg(long, hide = true, value_delimiter = ',')]
    mine: Vec<String>,
    /// Build the book, and print what happens
    #[arg(long, hide = true)]
    build: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let root = options.root.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let root = root.canonicalize().unwrap_or(root);
    let into = options.into.clone().unwrap_or_else(|| root.join("target/book"));
    if options.build {
        // An error says that the server is gone, or what cannot be watched.
        return build::run(&root, &into).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    if nix::unistd::geteuid().is_root() && !options.as_root {
        return failed(
            "this would run experiments and your code as root, for whatever reaches the server. Start it as an ordinary user; \
             in a container in which there is none, pass --as-root",
        );
    }
    serve::run(&options, &root, &into).map_or_else(failed, |()| ExitCode::SUCCESS)
}

fn failed(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
