//! Another way for `nonblocking/outbox`: a ring of bytes. A push copies, and a write takes the two slices of the ring.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::uio::writev;

use crate::{Error, Result};

/// A queue of bytes with a limit.
#[derive(Debug)]
pub struct Outbox {
    bytes: VecDeque<u8>,
    limit: usize,
}

/// Why [`Outbox::flush`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is written.
    Empty,
    /// The descriptor takes no more now.
    WouldBlock,
}

/// The error of a push that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The bytes of the push.
    pub bytes: Vec<u8>,
    /// How many bytes would have fit.
    pub room: usize,
    /// The outbox's limit.
    pub limit: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes do not fit: there is room for {} of {}", self.bytes.len(), self.room, self.limit)
    }
}

impl std::error::Error for Full {}

impl Outbox {
    /// Makes an empty outbox.
    pub fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit }
    }

    /// Queues all of the bytes, or none.
    pub fn push(&mut self, bytes: impl Into<Vec<u8>>) -> std::result::Result<(), Full> {
        let bytes = bytes.into();
        if bytes.len() > self.room() {
            return Err(Full { bytes, room: self.room(), limit: self.limit });
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Writes until the queue is empty or the descriptor takes no more.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<Flushed> {
        while !self.is_empty() {
            match self.write(&fd) {
                Ok(0) => return Err(failed(&fd, Errno::EIO)),
                Ok(taken) => self.written(taken),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(Flushed::WouldBlock),
                Err(errno) => return Err(failed(&fd, errno)),
            }
        }
        Ok(Flushed::Empty)
    }

    fn write(&self, fd: &impl AsFd) -> nix::Result<usize> {
        let (first, second) = self.bytes.as_slices();
        writev(fd, &[IoSlice::new(first), IoSlice::new(second)])
    }

    fn written(&mut self, taken: usize) {
        self.bytes.drain(..taken);
    }

    /// Returns how many bytes are queued.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes fit now.
    pub fn room(&self) -> usize {
        self.limit - self.len()
    }

    /// Returns whether the descriptor should be registered for writing.
    pub fn wants_write(&self) -> bool {
        self.len() > 0
    }
}

fn failed(fd: &impl AsFd, errno: Errno) -> Error {
    Error::on("writev", format!("descriptor {}", fd.as_fd().as_raw_fd()))(errno)
}
