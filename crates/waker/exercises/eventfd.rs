//! Exercise `waker/eventfd`: end a poller's sleep with a counter in the kernel.
//!
//! Goal: the same as with the pipe, and the tests are the same, with one descriptor instead of two. A counter
//! that cannot grow any more is a wake that is pending.
//! `nix::sys::eventfd` has `EventFd`, with `write` and `read`.
//! Run `cargo run -p workbook check eventfd` after each change; `hint eventfd` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd};

use crate::Result;

/// A waker on an eventfd. What must it keep?
#[derive(Debug)]
pub struct Waker {}

impl Waker {
    /// Make a waker, with no wake pending.
    pub fn new() -> Result<Self> {
        todo!("make an eventfd that never blocks: write `Waker::new` in exercises/eventfd.rs")
    }

    /// Make the counter ready to be read.
    pub fn wake(&self) -> Result<()> {
        todo!("have the eventfd become ready: write `wake` in exercises/eventfd.rs")
    }

    /// Set the counter to zero, so that it is not ready any more.
    pub fn consume(&self) -> Result<()> {
        todo!("set the counter to zero, whatever it is: write `consume` in exercises/eventfd.rs")
    }

    /// The descriptor to write to, for a signal handler.
    pub fn writer(&self) -> BorrowedFd<'_> {
        todo!("lend the descriptor: write `writer` in exercises/eventfd.rs")
    }

    /// Close the descriptor, as dropping the waker does.
    pub fn close(self) {
        todo!("close the descriptor, if there is anything left to do: write `close` in exercises/eventfd.rs")
    }
}

/// What a poller watches.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the descriptor: write `as_fd` in exercises/eventfd.rs")
    }
}
