//! A waker on an eventfd: a wake adds one to a counter in the kernel, and `consume` resets it to zero.
//!
//! Contract: the same as the pipe's, with one descriptor instead of two. Neither `wake` nor `consume` ever blocks.
//! After any number of wakes, one `consume` ends the readiness. A wake succeeds even if the counter is at its maximum.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{Error, Result};

/// An eventfd, for both writing and reading. Register `as_fd` with the poller.
#[derive(Debug)]
pub struct Waker {
    counter: EventFd,
}

impl Waker {
    /// Makes a waker that is not ready.
    ///
    /// # Errors
    /// `EMFILE` if the process has no free descriptor, `ENFILE` if the system's table of open files is full. See
    /// eventfd(2), "ERRORS".
    // ANCHOR: new
    pub fn new() -> Result<Self> {
        let counter = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(Error::on("eventfd2", "a new counter"))?;
        Ok(Self { counter })
    }
    // ANCHOR_END: new

    /// Makes the counter readable. Any thread may call this.
    ///
    /// # Errors
    /// The errors of write(2), "ERRORS", which only occur if other code closed or replaced the descriptor.
    // ANCHOR: wake
    pub fn wake(&self) -> Result<()> {
        loop {
            match self.counter.write(1) {
                // EAGAIN: the counter is at its maximum. That is not zero, so it is already readable.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.failed("write", errno)),
            }
        }
    }
    // ANCHOR_END: wake

    /// Resets the counter to zero, so that it is not readable. One read suffices, whatever the count.
    ///
    /// # Errors
    /// The errors of read(2), "ERRORS", which only occur if other code closed or replaced the descriptor. The waker may
    /// stay ready then.
    // ANCHOR: consume
    pub fn consume(&self) -> Result<()> {
        loop {
            match self.counter.read() {
                // EAGAIN: the counter is zero.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.failed("read", errno)),
            }
        }
    }
    // ANCHOR_END: consume

    /// Lends the descriptor to write to, for a signal handler, which cannot call `wake`. A write must have eight bytes,
    /// a number in native byte order, which the kernel adds to the counter.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.counter.as_fd()
    }

    /// Closes the descriptor, as dropping the waker does.
    pub fn close(self) {}

    fn failed(&self, operation: &'static str, errno: Errno) -> Error {
        let number = self.as_fd().as_raw_fd();
        Error::on(operation, format_args!("descriptor {number}, the waker's eventfd"))(errno)
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.counter.as_fd()
    }
}
