//! Exercise `waker/pipe`: end a poller's sleep with a byte in a pipe.
//!
//! Goal: any number of wakes, from any thread, makes the read end ready, and one `consume` makes it not ready again.
//! Neither function ever blocks. A wake while another one is pending succeeds. A call that fails with `EINTR` is repeated,
//! as often as it takes, and every other failure is an error. No program inherits the ends, whenever another thread starts
//! it, and dropping the waker closes both.
//! `nonblocking::pipe` makes the pipe, and `?` passes its error on; `nix::unistd` has `read` and `write`. To make an
//! error from an errno: `Error::on("write", format_args!("descriptor {number}"))(errno)`, with `crate::Error`.
//! Run `cargo workbook check waker/pipe` after each change; `hint waker/pipe` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd};

use crate::Result;

/// A waker on a pipe. Which fields does it need?
#[derive(Debug)]
pub struct Waker {}

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        todo!("make a pipe that never blocks: write `Waker::new` in exercises/pipe.rs")
    }

    /// Makes the pipe readable.
    pub fn wake(&self) -> Result<()> {
        todo!("make the pipe readable, and succeed if it is full: write `wake` in exercises/pipe.rs")
    }

    /// Reads every byte from the pipe, so that it is not readable. At end of file, where a read returns 0, it returns, too.
    pub fn consume(&self) -> Result<()> {
        todo!("empty the pipe, however many bytes are in it: write `consume` in exercises/pipe.rs")
    }

    /// Lends the write end, for a signal handler.
    pub fn writer(&self) -> BorrowedFd<'_> {
        todo!("lend the write end: write `writer` in exercises/pipe.rs")
    }

    /// Closes both ends, as dropping the waker does.
    pub fn close(self) {
        todo!(
            "close both ends, or leave the body empty if `self` closes them: write `close` in exercises/pipe.rs"
        )
    }
}

/// Lends the read end, to register with a poller.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the read end: write `as_fd` in exercises/pipe.rs")
    }
}
