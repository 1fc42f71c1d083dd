//! Mistake: whatever consuming meets counts as nothing left.
//! Caught by: another_error_of_consume_is_reported
//! Message: spins at 100 % of a processor

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

use crate::{Error, Result};

/// Both ends of a pipe. A poller watches the end to read from: `as_fd`.
#[derive(Debug)]
pub struct Waker {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Waker {
    /// Make a waker, with no wake pending.
    pub fn new() -> Result<Self> {
        let (reader, writer) = nonblocking::pipe::pipe()?;
        Ok(Self { reader, writer })
    }

    /// Make the pipe ready to be read, from any thread.
    pub fn wake(&self) -> Result<()> {
        loop {
            match write(&self.writer, &[0]) {
                // EAGAIN: the pipe is full, so it is ready already, and a byte more would say nothing new.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("write", &self.writer, errno)),
            }
        }
    }

    /// Take every byte out of the pipe, so that it is not ready any more.
    pub fn consume(&self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match read(&self.reader, &mut bytes) {
                // 0 is the end of the file: nobody could wake us any more.
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Ok(()),
            }
        }
    }

    /// The end to write to, for what wakes without this type: a signal handler. It takes any bytes.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// Close both ends, as dropping the waker does.
    pub fn close(self) {}
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

fn failed(operation: &'static str, fd: &OwnedFd, errno: Errno) -> Error {
    Error::on(operation, format_args!("descriptor {}, the waker's pipe", fd.as_raw_fd()))(errno)
}
