//! Exercise `prefork/fork`: fork one child, safely.
//!
//! Goal: the child runs the closure and exits with the code that it returns, or with 101 after a panic. It never
//! returns into its parent's code, and runs none of the exit handlers that its parent has registered. Output that was
//! buffered before the fork, by Rust or by C, is written once; what the child buffers is written too. At no moment does
//! the child have its parent's signal handlers, except those for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS and
//! SIGABRT. Ignored signals stay ignored, no signal is blocked, and C's `rand` gives the child numbers of its own. The
//! parent's signal mask is restored, even if the fork fails, and it drops the closure. If the process has other threads
//! (the error says how many), or something guarded (the error says what, and where the guard was made), `fork` returns
//! `EBUSY` without a child. A guard counts only in the process that made it. `crate::threads::count` counts threads.
//! `crate::child::PidfdReserve` holds the child: call `new` before the fork, and `hold` after it. Run `cargo workbook
//! check fork` after each change; `hint fork` if you are stuck.

use std::fmt::Display;

use crate::child::PidfdReserve;
use crate::{Child, Result, threads};

/// Makes [`fork`] an error while it lives. Hold one in anything that must be created after the fork.
#[derive(Debug)]
pub struct ForkGuard {}

impl ForkGuard {
    /// Guard something that the error calls `what`, for example "an event loop". The error also names the place in the
    /// source that called this.
    pub fn new(what: impl Display) -> Self {
        todo!("guard {what}: write `ForkGuard::new` in exercises/fork.rs")
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        // This `if` goes when the `todo!` goes. A panic while another one unwinds would abort the program without a
        // message, but a guard that a panic drops must stop guarding.
        if !std::thread::panicking() {
            todo!("stop guarding: write `drop` in exercises/fork.rs")
        }
    }
}

/// Fork a child that runs `child` and exits with the code that it returns.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    let _ = (threads::count, PidfdReserve::new, PidfdReserve::hold, child);
    todo!("fork, and run `child` in the child: write `fork` in exercises/fork.rs")
}
