//! Another way for `waker/pipe`: `drain`, the answer of chapter 3, empties the pipe.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nonblocking::drain::{Stop, drain};

use crate::{Error, Result};

/// A pipe: its read end and its write end.
#[derive(Debug)]
pub struct Waker {
    ends: (OwnedFd, OwnedFd),
}

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        nonblocking::pipe::pipe().map(|ends| Self { ends })
    }

    /// Makes the pipe readable.
    pub fn wake(&self) -> Result<()> {
        let answer = loop {
            let answer = nix::unistd::write(self.writer(), b"wake");
            if answer != Err(Errno::EINTR) {
                break answer;
            }
        };
        match answer {
            Ok(_) | Err(Errno::EWOULDBLOCK) => Ok(()),
            Err(errno) => Err(Error::on("write", format!("descriptor {}", self.writer().as_raw_fd()))(errno)),
        }
    }

    /// Empties the pipe.
    pub fn consume(&self) -> Result<()> {
        let mut bytes = Vec::new();
        while drain(&self.ends.0, &mut bytes, 1 << 16)? == Stop::Limit {
            bytes.clear();
        }
        Ok(())
    }

    /// Lends the write end.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.ends.1.as_fd()
    }

    /// Closes both ends.
    pub fn close(self) {
        let (reader, writer) = self.ends;
        drop(writer);
        drop(reader);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ends.0.as_fd()
    }
}
