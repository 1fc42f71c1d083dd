//! Exercise `prefork/accept`: the connections that are queued, a bounded number a turn.
//!
//! Goal: a turn passes on who is queued, in sockets that are close-on-exec and nonblocking from birth, and it ends:
//! when the queue is empty, at its bound, or when somebody has removed the acceptor, be it from inside the callback.
//! What went wrong with one connection does not end it. With no descriptor left, clients are taken from the queue
//! all the same, and see a clean end of file, whatever they have sent; that counts for the bound, and is said once a
//! second at most. It works again when there are descriptors again, and after a panic of the callback.
//! `nix::sys::socket` has `accept4`, `cloexec::open` and `nonblocking::drain` what you may need besides.
//! Run `cargo run -p workbook check accept` after each change; `hint accept` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;

use crate::Result;

/// How many connections a turn takes, unless told otherwise.
pub const BATCH: usize = 128;

/// Accepts what is queued on a listening socket. What must it keep?
#[derive(Debug)]
pub struct Acceptor {}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody is queued: the poller says when somebody is.
    Empty,
    /// The bound is reached, and there may be more: after the others have had their turn.
    Batch,
    /// It was removed. Whoever is queued stays there.
    Removed,
    /// There is no descriptor, not even one to take a client with and close it, or no memory. The listener stays
    /// ready.
    Stuck(Errno),
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How many connections were accepted and passed on.
    pub accepted: usize,
    /// Once a second at most: how many were closed at once since it was last said, for want of a descriptor.
    pub shed: Option<usize>,
    /// Why it ended.
    pub ended: Ended,
}

/// Stops an [`Acceptor`], from wherever: clones are one.
#[derive(Debug, Clone)]
pub struct Remover {}

impl Remover {
    /// From now on nothing is accepted, not even by a turn that is under way.
    pub fn remove(&self) {
        todo!("have the acceptor stop: write `remove` in exercises/accept.rs")
    }
}

impl Acceptor {
    /// Accept from this socket, which listens and is nonblocking.
    pub fn new(listener: impl Into<OwnedFd>) -> Result<Self> {
        todo!("accept from {:?}: write `new` in exercises/accept.rs", listener.into())
    }

    /// Take so many connections a turn at most, those that are closed at once among them; at least one.
    pub fn with_batch(self, batch: usize) -> Self {
        todo!("take {batch} connections a turn at most: write `with_batch` in exercises/accept.rs")
    }

    /// What stops it.
    pub fn remover(&self) -> Remover {
        todo!("make what stops it: write `remover` in exercises/accept.rs")
    }

    /// Accept who is queued, and pass each on. `now` is the time as the loop has it. An error says that the listener
    /// is none, and names it.
    pub fn accept(&mut self, now: Instant, connected: impl FnMut(OwnedFd)) -> Result<Turn> {
        let _ = connected;
        todo!("accept who is queued at {now:?}: write `accept` in exercises/accept.rs")
    }
}

/// What a poller watches.
impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the listener: write `as_fd` in exercises/accept.rs")
    }
}
