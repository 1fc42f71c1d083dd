//! What the scenarios of a helper share.

use std::fmt::Display;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::getppid;

/// Do something between two marks, for the [tracer](crate::tracer) to know what is under test. No code has a reason
/// to ask for the parent's id, and asking changes nothing.
pub fn judged<T>(work: impl FnOnce() -> T) -> T {
    getppid();
    let result = work();
    getppid();
    result
}

/// The exit code for what came of a scenario: 0, or 1 for what could not even be tried.
pub fn exit_code(outcome: Result<(), impl Display>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

/// Have EPIPE instead of SIGPIPE, as any Rust program has from its `main` on; a helper never gets there.
///
/// # Panics
/// Never: the signal exists.
pub fn ignore_sigpipe() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.expect("SIGPIPE can be ignored");
}
