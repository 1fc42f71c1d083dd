//! Exercise `prefork/fork`: one child, safely.
//!
//! Goal: the child runs what it was given and ends with the code that this gives, or with 101 after a panic; it
//! never comes back into its parent's code, and does nothing that its parent registered for its own end. What was
//! buffered before, in Rust or in C, is written once, and what the child buffers is written. The child has none of
//! its parent's handlers, at no moment, but for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS and SIGABRT; what is
//! ignored stays so; nothing is blocked; C's `rand` gives it numbers of its own. Its parent's signals are as before,
//! also when the fork fails.
//! With other threads (the error says how many), or something guarded (it says what, and where that was made), there
//! is `EBUSY` and no child. A guard is for the process that made it.
//! `crate::threads::count` counts. `crate::child::Cradle` holds a child: `new` before the fork, and `hold` after it.
//! Run `cargo run -p workbook check fork` after each change; `hint fork` if you are stuck.

use std::fmt::Display;

use crate::child::Cradle;
use crate::{Child, Result, threads};

/// Held by what must be born after the fork: as long as it lives, [`fork`] is an error that names its holder.
#[derive(Debug)]
pub struct ForkGuard {}

impl ForkGuard {
    /// Guard something, which is called `what` in the error: "an event loop". The error also says from where this
    /// was called.
    pub fn new(what: impl Display) -> Self {
        todo!("guard {what}: write `ForkGuard::new` in exercises/fork.rs")
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        // A second panic while the first unwinds would end the program without a word.
        if !std::thread::panicking() {
            todo!("guard it no longer: write `drop` in exercises/fork.rs")
        }
    }
}

/// Fork, and run `child` in the child.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    let _ = (threads::count, Cradle::new, Cradle::hold, child);
    todo!("fork, and run `child` in the child: write `fork` in exercises/fork.rs")
}
