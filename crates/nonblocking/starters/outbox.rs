//! Exercise `nonblocking/outbox`: bytes queued for a descriptor that cannot take them all now.
//!
//! Goal: bytes leave in the order in which they were pushed, none lost and none twice, whatever part of them a
//! write takes; several chunks go in one call. Never more than the limit is queued. After an error, what was
//! not taken is still there. Add the fields that you need.
//! Run `cargo run -p workbook check outbox` after each change; `hint outbox` if you are stuck.

use std::fmt;
use std::os::fd::AsFd;

use crate::Result;

/// A queue of bytes with a limit.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
}

/// How far [`Outbox::flush`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is gone.
    Empty,
    /// The descriptor takes no more now, and something is left.
    WouldBlock,
}

/// A push that does not fit: nothing of it was queued, and here it is again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What was offered.
    pub bytes: Vec<u8>,
    /// How many bytes would have fitted.
    pub room: usize,
    /// What the outbox holds at most, in bytes.
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
    /// An empty one that holds up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Queue all of it, or nothing. No system call is made.
    pub fn push(&mut self, bytes: impl Into<Vec<u8>>) -> std::result::Result<(), Full> {
        let (length, limit) = (bytes.into().len(), self.limit);
        todo!(
            "queue {length} bytes, unless that makes more than {limit}: write `push` in exercises/outbox.rs"
        )
    }

    /// Write to a nonblocking descriptor until everything is gone or it takes no more. A write that takes
    /// nothing and gives no reason is an error, `EIO`.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<Flushed> {
        todo!("write to {:?} what is queued: write `flush` in exercises/outbox.rs", fd.as_fd())
    }

    /// How many bytes are queued.
    pub fn len(&self) -> usize {
        todo!("count the bytes that were pushed and not yet taken: write `len` in exercises/outbox.rs")
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes fit now.
    pub fn room(&self) -> usize {
        self.limit - self.len()
    }

    /// Is the poller to say when the descriptor can be written to?
    pub fn wants_write(&self) -> bool {
        !self.is_empty()
    }
}
