//! Another way for `waker/pipe`: std's pipe ends, which read and write. Only the flag comes from the earlier answer.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::{Error, Result};

/// A pipe.
#[derive(Debug)]
pub struct Waker(PipeReader, PipeWriter);

impl Waker {
    /// Makes a waker that is not ready.
    pub fn new() -> Result<Self> {
        let (reader, writer) = nonblocking::pipe::pipe()?;
        Ok(Self(reader.into(), writer.into()))
    }

    /// Makes the pipe readable.
    pub fn wake(&self) -> Result<()> {
        // It makes the call again after EINTR.
        match (&self.1).write_all(b"!") {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                Err(Error::on_io("write", format!("descriptor {}", self.1.as_raw_fd()))(error))
            }
            _ => Ok(()),
        }
    }

    /// Empties the pipe.
    pub fn consume(&self) -> Result<()> {
        let mut bytes = [0; 512];
        loop {
            match (&self.0).read(&mut bytes).map_err(|error| (error.kind(), error)) {
                Ok(0) | Err((ErrorKind::WouldBlock, _)) => return Ok(()),
                Ok(_) | Err((ErrorKind::Interrupted, _)) => {}
                Err((_, error)) => {
                    return Err(Error::on_io("read", format!("descriptor {}", self.0.as_raw_fd()))(error));
                }
            }
        }
    }

    /// Lends the write end.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }

    /// Closes both ends.
    pub fn close(self) {
        drop(self);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
