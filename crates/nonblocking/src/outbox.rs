//! A queue of bytes for a descriptor that cannot take them all now.
//!
//! Contract: bytes are written in the order in which they were pushed, each exactly once, however many of them a
//! write takes. The queue never exceeds its limit. A push is queued whole or not at all, because a queued half of a
//! message could not be taken back. After an error, the bytes that were not written are still queued and counted.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::uio::writev;

use crate::{Error, Result};

// ANCHOR: batch
/// The maximum number of chunks in one `writev`. The array of slices is on the stack, so the number is well below
/// `IOV_MAX` (1024); a longer queue takes several calls.
const BATCH: usize = 64;
// ANCHOR_END: batch

/// A queue of bytes with a limit. See the module's contract.
///
/// The limit lets a slow reader slow the writer down: on [`Full`], stop producing, wait until the descriptor is
/// writable, [`flush`](Self::flush), and push again.
// ANCHOR: outbox
#[derive(Debug)]
pub struct Outbox {
    /// The pushes that are not written yet. Each has at least one byte.
    chunks: VecDeque<Vec<u8>>,
    /// How many bytes of the first chunk are already written. Less than its length.
    written: usize,
    /// How many bytes are not written yet.
    len: usize,
    /// The maximum of `len`.
    limit: usize,
}
// ANCHOR_END: outbox

/// Why [`Outbox::flush`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is written.
    Empty,
    /// The descriptor takes no more now, and bytes are left: wait until the poller reports it writable.
    WouldBlock,
}

/// The error of a push that does not fit. Nothing was queued, and the error returns the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// The bytes of the push.
    pub bytes: Vec<u8>,
    /// How many bytes would have fit.
    pub room: usize,
    /// The outbox's limit, in bytes. A larger push never fits, however long you wait; split it.
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
    /// Makes an empty outbox that holds up to `limit` bytes. It allocates memory only for bytes that are pushed.
    // ANCHOR: new
    pub fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), written: 0, len: 0, limit }
    }
    // ANCHOR_END: new

    /// Queues all of `bytes`, and makes no system call. A vector is moved, a slice is copied. An empty push always
    /// fits.
    ///
    /// # Errors
    /// [`Full`], with the bytes, if they do not all fit.
    // ANCHOR: push
    pub fn push(&mut self, bytes: impl Into<Vec<u8>>) -> std::result::Result<(), Full> {
        let bytes = bytes.into();
        if bytes.len() > self.room() {
            return Err(Full { bytes, room: self.room(), limit: self.limit });
        }
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.chunks.push_back(bytes);
        }
        Ok(())
    }
    // ANCHOR_END: push

    /// Writes to a nonblocking descriptor until the queue is empty or the descriptor takes no more.
    ///
    /// However fast the reader is, this returns, because no bytes are pushed meanwhile.
    ///
    /// # Errors
    /// The errors of writev(2), "ERRORS", except `EAGAIN` and `EINTR`: `EPIPE` if the read end is closed (Rust
    /// programs ignore `SIGPIPE`), `ECONNRESET` if the peer reset the connection, `EBADF` if the descriptor is not
    /// open for writing; and `EIO` if a write returns 0. Bytes that were not written stay queued, so that the caller
    /// can report how many are lost.
    // ANCHOR: flush
    pub fn flush(&mut self, fd: impl AsFd) -> Result<Flushed> {
        let fd = fd.as_fd();
        let failed = |errno| Error::on("writev", format_args!("descriptor {}", fd.as_raw_fd()))(errno);
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                *slice = IoSlice::new(chunk);
            }
            slices[0].advance(self.written); // skips what is written already
            match writev(fd, &slices[..self.chunks.len().min(BATCH)]) {
                Ok(0) => return Err(failed(Errno::EIO)),
                Ok(taken) => self.advance(taken),
                Err(Errno::EAGAIN) => return Ok(Flushed::WouldBlock),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(Flushed::Empty)
    }

    /// Accounts for a write of `taken` bytes: drops the chunks that are wholly written, and updates `written`.
    fn advance(&mut self, taken: usize) {
        self.len -= taken;
        self.written += taken;
        while let Some(first) = self.chunks.pop_front_if(|first| first.len() <= self.written) {
            self.written -= first.len();
        }
    }
    // ANCHOR_END: flush

    /// Returns how many bytes are queued.
    // ANCHOR: len
    pub fn len(&self) -> usize {
        self.len
    }
    // ANCHOR_END: len

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes fit now.
    pub fn room(&self) -> usize {
        self.limit - self.len
    }

    /// Returns whether the descriptor should be registered for writing: only while bytes are queued. An idle
    /// descriptor is nearly always writable, so a registered one would be reported in every wait of the poller.
    pub fn wants_write(&self) -> bool {
        !self.is_empty()
    }
}
