//! Mistake: EAGAIN is tried again at once.
//! Caught by: a_full_pipe_is_asked_once_a_flush
//! Message: a busy loop

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::uio::writev;

use crate::{Error, Result};

/// The most chunks that one write is given: well below `IOV_MAX`, which is 1024, and more than fill a pipe or a
/// socket in practice. The list of them lies on the stack.
const BATCH: usize = 64;

/// A queue of bytes with a limit. See the module's contract.
///
/// The limit is how a slow reader slows its writer down: on [`Full`], stop making more, wait until the
/// descriptor can be written to, [`flush`](Self::flush), and push again.
#[derive(Debug)]
pub struct Outbox {
    /// What was pushed, none of it empty.
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk has gone already, in bytes. Less than its length.
    gone: usize,
    /// All that has not gone yet, in bytes.
    len: usize,
    limit: usize,
}

/// How far [`Outbox::flush`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is gone.
    Empty,
    /// The descriptor takes no more now, and something is left: ask the poller to say when it does.
    WouldBlock,
}

/// A push that does not fit: nothing of it was queued, and here it is again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What was offered.
    pub bytes: Vec<u8>,
    /// How many bytes would have fitted.
    pub room: usize,
    /// What the outbox holds at most, in bytes. More than that never fits, however long one waits: it has to
    /// be pushed in parts.
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
    /// An empty one that holds up to `limit` bytes. It takes memory as bytes come.
    pub fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), gone: 0, len: 0, limit }
    }

    /// Queue all of it. A vector is taken as it is, a slice is copied. No system call is made, and no bytes at
    /// all always fit.
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

    /// Write to a nonblocking descriptor until everything is gone or it takes no more. That ends, however fast
    /// the reader is, since nothing is pushed meanwhile.
    pub fn flush(&mut self, fd: impl AsFd) -> Result<Flushed> {
        let fd = fd.as_fd();
        let failed = |errno| Error::on("writev", format_args!("descriptor {}", fd.as_raw_fd()))(errno);
        while !self.is_empty() {
            match writev(fd, self.front(&mut [IoSlice::new(&[]); BATCH])) {
                Ok(0) => return Err(failed(Errno::EIO)),
                Ok(taken) => self.forget(taken),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(Flushed::Empty)
    }

    /// The first chunks, less what has gone of the very first.
    fn front<'a, 's>(&'a self, slices: &'s mut [IoSlice<'a>; BATCH]) -> &'s [IoSlice<'a>] {
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
        }
        slices[0].advance(self.gone);
        &slices[..self.chunks.len().min(BATCH)]
    }

    /// So many bytes were taken: drop the chunks that are gone whole, and remember how far into the next.
    fn forget(&mut self, taken: usize) {
        self.len -= taken;
        self.gone += taken;
        while let Some(first) = self.chunks.pop_front_if(|first| first.len() <= self.gone) {
            self.gone -= first.len();
        }
    }

    /// How many bytes are queued.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes fit now.
    pub fn room(&self) -> usize {
        self.limit - self.len
    }

    /// Is the poller to say when the descriptor can be written to? Only while something is queued: an idle
    /// descriptor can be written to nearly always, and a poller that is asked says so again and again.
    pub fn wants_write(&self) -> bool {
        !self.is_empty()
    }
}
