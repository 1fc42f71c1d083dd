//! `drain LIMIT open|closed PIECES…`: drain a pipe that contains the pieces, with its write end open or closed.
//! `drain-without-end LIMIT`: drain /dev/zero, which never ends.

use std::fs::File;
use std::io::Write;

use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nonblocking::drain::drain;
use testing::judged;

use super::support::helper::output::{in_words, print};

/// The memory limit, in bytes: far more than this program needs, and soon reached if it reads without end.
const MEMORY: rlim_t = 64 << 20;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["drain", limit, ends, pieces @ ..] => from_a_pipe(limit, ends, pieces),
        ["drain-without-end", limit] => without_end(limit),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Prints `result …` and `read TEXT`.
fn from_a_pipe(limit: &str, end: &str, pieces: &[&str]) -> Result<(), String> {
    let limit = limit.parse().map_err(in_words)?;
    let (reader, mut writer) = std::io::pipe().map_err(in_words)?;
    for piece in pieces {
        writer.write_all(piece.as_bytes()).map_err(in_words)?;
    }
    let fcntl = nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK));
    fcntl.map_err(in_words)?;
    let writer = (end == "open").then_some(writer);
    let mut read = Vec::new();
    let result = judged(|| drain(&reader, &mut read, limit));
    drop(writer);
    print(&result);
    println!("read {}", String::from_utf8_lossy(&read));
    Ok(())
}

/// Prints `result …` and `length BYTES`. If the memory runs out, the program aborts.
fn without_end(limit: &str) -> Result<(), String> {
    let limit = limit.parse().map_err(in_words)?;
    let source = File::open("/dev/zero").map_err(in_words)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(in_words)?;
    setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY).map_err(in_words)?;
    let mut read = Vec::new();
    print(&judged(|| drain(&source, &mut read, limit)));
    println!("length {}", read.len());
    Ok(())
}
