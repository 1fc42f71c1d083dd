//! A waker on a pipe: a wake is a byte, and consuming is reading until nothing is left.
//!
//! Contract: neither `wake` nor `consume` ever blocks. Any number of wakes is one readiness, which the next
//! `consume` ends. A full pipe is no error, since it is ready to be read. Both ends are close-on-exec, and
//! closed together.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

use crate::{Error, Result};

/// Both ends of a pipe. A poller watches the end to read from: `as_fd`.
// ANCHOR: waker
#[derive(Debug)]
pub struct Waker {
    reader: OwnedFd,
    writer: OwnedFd,
}
// ANCHOR_END: waker

impl Waker {
    /// Make a waker, with no wake pending.
    ///
    /// # Errors
    /// `EMFILE` where fewer than two numbers are left, `ENFILE` where the system has no more files to give. See
    /// pipe(2), "ERRORS".
    pub fn new() -> Result<Self> {
        let (reader, writer) = nonblocking::pipe::pipe()?;
        Ok(Self { reader, writer })
    }

    /// Make the pipe ready to be read, from any thread.
    ///
    /// # Errors
    /// `EPIPE` where somebody closed the end to read from, which only this waker owns. Rust programs ignore
    /// `SIGPIPE`, which comes with that error and would end a program that does not. See write(2), "ERRORS".
    // ANCHOR: wake
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
    // ANCHOR_END: wake

    /// Take every byte out of the pipe, so that it is not ready any more.
    ///
    /// # Errors
    /// What read(2) answers for a descriptor that is no pipe any more; the waker may then stay ready.
    // ANCHOR: consume
    pub fn consume(&self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match read(&self.reader, &mut bytes) {
                // 0 is the end of the file: nobody could wake us any more.
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("read", &self.reader, errno)),
            }
        }
    }
    // ANCHOR_END: consume

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
