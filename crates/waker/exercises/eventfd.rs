//! Exercise `waker/eventfd`: end a poller's sleep with a counter in the kernel.
//!
//! Goal: what the waker on a pipe does, with one descriptor instead of two. Most of the tests are the same. A wake adds
//! to the counter, and one `consume` resets the counter to zero, whatever it was. A wake that finds the counter at its
//! maximum succeeds.
//! `nix::sys::eventfd` has `EventFd::from_value_and_flags`, with `EfdFlags`, and the methods `write` and `read`. To make
//! an error from an errno: `Error::on("write", format_args!("descriptor {number}"))(errno)`, with `crate::Error`. If `new`
//! fails, there is no descriptor to name: `Error::on("eventfd2", "a new counter")`.
//! Run `cargo workbook check eventfd` after each change; `hint eventfd` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd};

use crate::Result;

/// A waker on an eventfd. Which fields does it need?
#[derive(Debug)]
pub struct Waker {}

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        todo!("make an eventfd that never blocks: write `Waker::new` in exercises/eventfd.rs")
    }

    /// Makes the counter readable.
    pub fn wake(&self) -> Result<()> {
        todo!("make the eventfd readable: write `wake` in exercises/eventfd.rs")
    }

    /// Resets the counter to zero, so that it is not readable.
    pub fn consume(&self) -> Result<()> {
        todo!("reset the counter to zero, whatever the count: write `consume` in exercises/eventfd.rs")
    }

    /// Lends the descriptor to write to, for a signal handler.
    pub fn writer(&self) -> BorrowedFd<'_> {
        todo!("lend the descriptor: write `writer` in exercises/eventfd.rs")
    }

    /// Closes the descriptor, as dropping the waker does.
    pub fn close(self) {
        todo!(
            "close the descriptor, or leave the body empty if `self` closes it: write `close` in exercises/eventfd.rs"
        )
    }
}

/// Lends the descriptor to register with a poller.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the descriptor: write `as_fd` in exercises/eventfd.rs")
    }
}
