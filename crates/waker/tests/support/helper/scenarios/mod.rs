//! What is done with this crate in a process of its own.
//!
//! Contract: a scenario prints what it saw and ends with 0; what could not even be tried ends with 1.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

mod disposition;
mod owners;
mod signals;
mod storm;
mod wakers;

/// How many times `take` is interrupted, each time a little further on.
pub const ROUNDS: usize = 100;

/// Errors are only ever shown.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Run the scenario of that name.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["waker", kind, what] => wakers::run(kind, what),
        ["signal", what] => signals::run(what),
        ["owner", what] => owners::run(what),
        ["storm"] => storm::run(),
        _ => Err(format!("no scenario is called {scenario:?}").into()),
    })
}

/// Can the descriptor be read now? `ready`, or `silent`.
fn state(fd: impl AsFd) -> &'static str {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::ZERO) == Ok(0) { "silent" } else { "ready" }
}
