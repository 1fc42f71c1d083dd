//! Exercise `waker/pipe`: end a poller's sleep with a byte in a pipe.
//!
//! Goal: any number of wakes, from any thread, is one readiness, which the next `consume` ends. Neither ever
//! blocks, a wake that comes while one is pending is no error, and whatever else goes wrong is one. No program
//! that is started inherits an end, and both are closed with the waker.
//! `nonblocking::pipe` has what makes the pipe; `nix::unistd` has `read` and `write`.
//! Run `cargo run -p workbook check waker/pipe` after each change; `hint waker/pipe` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd};

use crate::Result;

/// A waker on a pipe. What must it keep?
#[derive(Debug)]
pub struct Waker {}

impl Waker {
    /// Make a waker, with no wake pending.
    pub fn new() -> Result<Self> {
        todo!("make a pipe that never blocks: write `Waker::new` in exercises/pipe.rs")
    }

    /// Make the pipe ready to be read.
    pub fn wake(&self) -> Result<()> {
        todo!("have the pipe become ready, also when it is full: write `wake` in exercises/pipe.rs")
    }

    /// Take every byte out of the pipe, so that it is not ready any more.
    pub fn consume(&self) -> Result<()> {
        todo!("empty the pipe, however much is in it: write `consume` in exercises/pipe.rs")
    }

    /// The end to write to, for a signal handler.
    pub fn writer(&self) -> BorrowedFd<'_> {
        todo!("lend the end to write to: write `writer` in exercises/pipe.rs")
    }

    /// Close both ends, as dropping the waker does.
    pub fn close(self) {
        todo!("close both ends, if there is anything left to do: write `close` in exercises/pipe.rs")
    }
}

/// What a poller watches.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the end to read from: write `as_fd` in exercises/pipe.rs")
    }
}
