//! The live book: `cargo workbook serve` builds the book, serves it on this machine alone, and runs its experiments and checks
//! for the reader's browser.
//!
//! - `routes`, `refusal`, on the guard and the token of `httpserver`: which requests get through, and to what; `headers`: what the
//!   browser may do then;
//! - `app`: what a request does; `catalogue`, `progress`: what there is, and what the reader has done;
//! - `runs`, `child`, `keeper`: experiments and checks, as child processes on the loop, none of which outlives the server;
//! - `book`, and in a child process `build`, `watched`, `scripts`: the book;
//! - `browser`: the reader's browser, opened at the address;
//! - `output`: what the server says where nobody may listen;
//! - `site`: the book as files, with the Linux in it on which its pages run experiments where there is no server;
//! - `hub`, `trace`, `block`: the page about the loop that serves it.
//!
//! The interface: [`routes::ROUTES`]. `GET /api/hello` says `{"workbook":1}`; `GET /api/progress` what the reader has done.
//! `POST /api/run {"experiment":NAME,"prediction":LETTER or "none"}`, `POST /api/check {"exercise":NAME}` and `POST /api/events {}` are
//! answered with JSON, one object a line, each with a `kind`: those of `--json-lines` of an experiment, `progress` while
//! something is compiled, `result` of a check, and the events `hello`, `reload`, `saved`, `progress`, `trace`, `blocked` and `bye`.
//! `hello` begins a stream of events: a client that had none has missed events, and asks for `progress`.
//! Closing a stream ends what runs for it. `POST /api/block {"ms":300}` blocks the loop, `POST /api/slow {}` opens a slow client.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use options::Options;
use output::complain;

mod app;
mod block;
mod book;
mod browser;
mod build;
mod catalogue;
mod child;
mod headers;
mod hub;
mod keeper;
mod options;
mod output;
mod progress;
mod refusal;
mod routes;
mod runs;
mod scripts;
mod serve;
mod site;
mod trace;
mod watched;

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.keep.is_empty() {
        return keeper::run(&options.keep).unwrap_or_else(failed);
    }
    // Where cargo finds this crate now. A checkout that was moved is not built anew, and in here is where it was.
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|here| here.ends_with("crates/live"));
    let built_in = || here.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).join("../..");
    let root = options.root.clone().unwrap_or_else(built_in);
    let root = root.canonicalize().unwrap_or(root);
    let into = options.into.clone().unwrap_or_else(|| root.join("target/book"));
    if let Some(folder) = &options.site {
        let machine = options.machine.clone().unwrap_or_else(|| root.join("target/machine/site"));
        return site::build(&root, &machine, folder, &options.base)
            .map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    if options.build {
        // An error says that the server is gone, or what cannot be watched.
        return build::run(&root, &into, options.verdicts.as_deref())
            .map_or_else(failed, |()| ExitCode::SUCCESS);
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
    complain!("error: {error}");
    ExitCode::FAILURE
}
