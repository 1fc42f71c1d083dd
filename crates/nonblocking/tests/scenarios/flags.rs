//! `flags WHAT`: read, set or clear the flag of a pipe. `flags-of-stdin WHAT`: of the inherited standard input.

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

/// Prints `result …`, and how many descriptors the call left open as `opened …`, and a second call as `opened-again …`.
fn change(what: &str, fd: impl AsFd) -> Result<(), String> {
    let call = || match what {
        "is_set" => flags::is_set(&fd).map(drop),
        "set" => flags::set(&fd),
        _ => flags::clear(&fd),
    };
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open();
    print(&judged(call));
    let between = open();
    println!("opened {}", between - before);
    call().map_err(in_words)?;
    println!("opened-again {}", open() - between);
    Ok(())
}
