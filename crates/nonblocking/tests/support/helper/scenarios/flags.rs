//! `flags WHAT`: set or clear the flag of a pipe. `flags-of-stdin WHAT`: of what we were born with at 0.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nonblocking::flags;
use testing::judged;

use super::{in_words, print};

/// Starts from a pipe with `O_APPEND`, that has the flag if it is to be cleared.
pub fn on_a_pipe(what: &str) -> Result<(), String> {
    let (reader, _writer) = std::io::pipe().map_err(in_words)?;
    let before = if what == "clear" { OFlag::O_APPEND | OFlag::O_NONBLOCK } else { OFlag::O_APPEND };
    fcntl(&reader, FcntlArg::F_SETFL(before)).map_err(in_words)?;
    change(what, reader)
}

/// Prints `result …`.
pub fn change(what: &str, fd: impl AsFd) -> Result<(), String> {
    let result = match what {
        "set" => judged(|| flags::set(fd)),
        "clear" => judged(|| flags::clear(fd)),
        _ => return Err(format!("{what} is neither set nor clear")),
    };
    print(&result);
    Ok(())
}
