//! Exercise `nonblocking/outbox`: a queue of bytes for a descriptor that cannot take them all now.
//!
//! Goal: bytes are written in the order in which they were pushed, each exactly once, however many of them a write
//! takes. One call writes several chunks, and the kernel limits how many. The queue never exceeds its limit. After an
//! error, the bytes that were not written are still queued, and no others, so the next flush continues there.
//! An error names the call and the descriptor: `.map_err(Error::on("writev", format_args!("descriptor {number}")))`,
//! with `crate::Error`.
//! Start with the fields of `Outbox`: which numbers describe a queue whose first chunk is written in part?
//! Run `cargo workbook check outbox` after each change; `hint outbox` if you are stuck.

use std::fmt;
use std::os::fd::AsFd;

use crate::Result;

/// A queue of bytes with a limit.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
}

/// Why [`Outbox::flush`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is written.
    Empty,
    /// The descriptor takes no more now, and bytes are left.
    WouldBlock,
}

/// The error of a push that does not fit. Nothing was queued, and the error returns the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The bytes of the push.
    pub bytes: Vec<u8>,
    /// How many bytes would have fit.
    pub room: usize,
    /// The outbox's limit, in bytes.
    pub limit: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, room, limit } = self;
        write!(f, "no room for {} bytes: {room} of {limit} are free", bytes.len())
    }
}

impl std::error::Error for Full {}

impl Outbox {
    /// Makes an empty outbox that holds up to `limit` bytes, which may be any number: it allocates nothing yet.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Queues all of `bytes`, or nothing. Makes no system call. An empty push always fits, and queues nothing.
    pub fn push(&mut self, bytes: impl Into<Vec<u8>>) -> std::result::Result<(), Full> {
        let (length, limit) = (bytes.into().len(), self.limit);
        todo!(
            "queue {length} bytes, unless the queue would exceed {limit}: write `push` in exercises/outbox.rs"
        )
    }

    /// Writes to a nonblocking descriptor until the queue is empty or the descriptor takes no more (`EAGAIN`). A signal
    /// (`EINTR`) does not stop the flush. A write that returns 0 is an error, `EIO`. It never waits for room, and leaves
    /// the flags of the descriptor alone.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<Flushed> {
        todo!("write the queued bytes to {:?}: write `flush` in exercises/outbox.rs", fd.as_fd())
    }

    /// Returns how many bytes are queued. Every test asks for it, so write it first.
    pub fn len(&self) -> usize {
        todo!(
            "count the bytes that were pushed but not yet written: add fields to `Outbox`, and write `len` in \
             exercises/outbox.rs"
        )
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
        !self.is_empty()
    }
}
