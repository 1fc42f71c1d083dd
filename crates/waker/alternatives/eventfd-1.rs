//! Another way for `waker/eventfd`: libc's `eventfd`, and std's `File` to read and write the eight bytes.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result};

/// An eventfd.
#[derive(Debug)]
pub struct Waker {
    file: File,
}

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        // SAFETY: the call takes two integers.
        let number = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let number = Errno::result(number).map_err(Error::on("eventfd2", "a new counter"))?;
        // SAFETY: it is new, so nothing else owns it.
        Ok(Self { file: unsafe { File::from_raw_fd(number) } })
    }

    /// Adds one.
    pub fn wake(&self) -> Result<()> {
        self.again("write", || (&self.file).write(&1_u64.to_ne_bytes()))
    }

    /// Resets the counter.
    pub fn consume(&self) -> Result<()> {
        self.again("read", || (&self.file).read(&mut [0; 8]))
    }

    /// Lends the descriptor.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Closes it.
    pub fn close(self) {
        drop(self.file);
    }

    /// Makes the call until no signal interrupts it. One that would block has nothing to do.
    fn again(&self, name: &'static str, mut call: impl FnMut() -> io::Result<usize>) -> Result<()> {
        loop {
            match call() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(Error::on_io(name, format!("descriptor {}", self.file.as_raw_fd()))(error));
                }
                _ => return Ok(()),
            }
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
