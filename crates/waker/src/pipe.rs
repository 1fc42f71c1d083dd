//! A waker on a pipe: `wake` writes a byte, and `consume` reads until the pipe is empty.
//!
//! Contract: neither `wake` nor `consume` ever blocks. After any number of wakes, one `consume` ends the readiness.
//! A wake succeeds even if the pipe is full, because a full pipe is readable. Both ends are close-on-exec and are
//! closed together.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

use crate::{Error, Result};

/// Both ends of a pipe. Register the read end, `as_fd`, with the poller.
// ANCHOR: waker
#[derive(Debug)]
pub struct Waker {
    reader: OwnedFd,
    writer: OwnedFd,
}
// ANCHOR_END: waker

impl Waker {
    /// Makes a waker that is not ready.
    ///
    /// # Errors
    /// `EMFILE` if the process has fewer than two free descriptors, `ENFILE` if the system's table of open files is
    /// full or the user's pipes exceed their memory limit. See pipe(2), "ERRORS".
    // ANCHOR: new
    pub fn new() -> Result<Self> {
        let (reader, writer) = nonblocking::pipe::pipe()?;
        Ok(Self { reader, writer })
    }
    // ANCHOR_END: new

    /// Makes the pipe readable. Any thread may call this.
    ///
    /// # Errors
    /// `EPIPE` if other code closed the read end, which only this waker owns. With that error the kernel sends
    /// `SIGPIPE`, which Rust programs ignore. See write(2), "ERRORS".
    // ANCHOR: wake
    pub fn wake(&self) -> Result<()> {
        loop {
            match write(&self.writer, &[0]) {
                // EAGAIN: the pipe is full, so it is already readable.
                Ok(_) | Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("write", &self.writer, errno)),
            }
        }
    }
    // ANCHOR_END: wake

    /// Reads every byte from the pipe, so that it is not readable. If other code closed the write end, the pipe is at end of
    /// file, which is no error, and poll(2) goes on to report it with `POLLHUP`.
    ///
    /// # Errors
    /// The errors of read(2), "ERRORS", which only occur if other code closed or replaced the descriptor. The waker may
    /// stay ready then.
    // ANCHOR: consume
    pub fn consume(&self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match read(&self.reader, &mut bytes) {
                // 0 means end of file: the write end is closed, and the pipe is empty.
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("read", &self.reader, errno)),
            }
        }
    }
    // ANCHOR_END: consume

    /// Lends the write end, for a signal handler, which cannot call `wake`. A write may have any bytes.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// Closes both ends, as dropping the waker does.
    // ANCHOR: close
    pub fn close(self) {}
    // ANCHOR_END: close
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

fn failed(operation: &'static str, fd: &OwnedFd, errno: Errno) -> Error {
    Error::on(operation, format_args!("descriptor {}, the waker's pipe", fd.as_raw_fd()))(errno)
}
