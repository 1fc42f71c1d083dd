//! `flags WHAT`: set or clear the flag of a pipe. `flags-of-stdin WHAT`: of the inherited standard input.

use std::io;
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nonblocking::flags;
use testing::judged;

use super::support::helper::output::{in_words, print};

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["flags", what] => on_a_pipe(what),
        ["flags-of-stdin", what] => change(what, io::stdin()),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Starts from a pipe with `O_APPEND`, and with the flag if WHAT is `clear`.
fn on_a_pipe(what: &str) -> Result<(), String> {
    let (reader, _writer) = std::io::pipe().map_err(in_words)?;
    let before = if what == "clear" { OFlag::O_APPEND | OFlag::O_NONBLOCK } else { OFlag::O_APPEND };
    fcntl(&reader, FcntlArg::F_SETFL(before)).map_err(in_words)?;
    change(what, reader)
}

/// Prints `result …`, and how many descriptors the call left open as `opened …`.
fn change(what: &str, fd: impl AsFd) -> Result<(), String> {
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open();
    let result = match what {
        "set" => judged(|| flags::set(&fd)),
        "clear" => judged(|| flags::clear(&fd)),
        _ => return Err(format!("{what} is neither set nor clear")),
    };
    print(&result);
    println!("opened {}", open() - before);
    Ok(())
}
