//! Mistake: EFD_CLOEXEC is missing.
//! Caught by: it_does_not_survive_exec
//! Message: is not close-on-exec

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{Error, Result};

/// One descriptor, which is written to and read from. A poller watches it: `as_fd`.
#[derive(Debug)]
pub struct Waker {
    counter: EventFd,
}

impl Waker {
    /// Make a waker, with no wake pending.
    pub fn new() -> Result<Self> {
        let counter = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK)
            .map_err(Error::on("eventfd2", "a new counter"))?;
        Ok(Self { counter })
    }

    /// Make the counter ready to be read, from any thread.
    pub fn wake(&self) -> Result<()> {
        loop {
            match self.counter.write(1) {
                // EAGAIN: the counter is at its highest. That is not zero, so it is ready already.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.failed("write", errno)),
            }
        }
    }

    /// Set the counter to zero, so that it is not ready any more. One read does it, whatever the count.
    pub fn consume(&self) -> Result<()> {
        loop {
            match self.counter.read() {
                // EAGAIN: it is zero.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.failed("read", errno)),
            }
        }
    }

    /// The descriptor to write to, for what wakes without this type: a signal handler. It takes eight bytes, a
    /// number in the machine's own order, which is added.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.counter.as_fd()
    }

    /// Close the descriptor, as dropping the waker does.
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
