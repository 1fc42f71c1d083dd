//! What the scenarios of a helper share.

use std::fmt::Display;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::getppid;

/// Do something between two marks, so that the [tracer](crate::tracer) knows what is under test. The marks are calls of
/// getppid, which no code under test makes, and which change nothing.
pub fn judged<T>(work: impl FnOnce() -> T) -> T {
    getppid();
    let result = work();
    getppid();
    result
}

/// The exit code for the result of a scenario: 0, or 1 if it could not even be tried.
pub fn exit_code(outcome: Result<(), impl Display>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

/// Ignore SIGPIPE, so that a write fails with EPIPE. Rust's runtime does that before `main`, which a helper never reaches.
///
/// # Panics
/// Never: the signal exists.
pub fn ignore_sigpipe() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("SIGPIPE can be ignored");
}
