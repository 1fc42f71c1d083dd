//! Another way for `waker/eventfd`: nix's `read` and `write` on the descriptor, and a consume that reads until there is
//! nothing, as with a pipe.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

use crate::{Error, Result};

/// An eventfd.
#[derive(Debug)]
pub struct Waker(EventFd);

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_flags(flags).map(Self).map_err(Error::on("eventfd2", "a new eventfd"))
    }

    /// Adds one.
    pub fn wake(&self) -> Result<()> {
        while let Err(errno) = write(&self.0, &u64::to_ne_bytes(1)) {
            match errno {
                Errno::EAGAIN => break,
                Errno::EINTR => {}
                _ => {
                    return Err(Error::on("write", format!("descriptor {}", self.0.as_fd().as_raw_fd()))(
                        errno,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Resets the counter.
    pub fn consume(&self) -> Result<()> {
        let mut count = [0; size_of::<u64>()];
        loop {
            match read(&self.0, &mut count) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Error::on("read", format!("descriptor {}", self.0.as_fd().as_raw_fd()))(
                        errno,
                    ));
                }
            }
        }
    }

    /// Lends the descriptor.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Closes it.
    pub fn close(self) {}
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
