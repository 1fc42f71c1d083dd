//! Exercise `prefork/accept`: accept the connections that are queued on a listener, a bounded number at a time.
//!
//! Goal: `accept` gives each queued connection to the callback, as a socket on which accept4(2) itself has set
//! close-on-exec and nonblocking. A batch ends when the queue is empty, after as many rounds as its limit allows, or
//! when the acceptor has been removed, which the callback may do too: check that before each round, and before the
//! limit. A round is one accept4, whatever it returns, and with it the shedding of one client. Errors that concern one
//! connection do not end it: ECONNABORTED, those that accept(2) lists in "Error handling" except EOPNOTSUPP, EPERM,
//! and EINTR. ENOMEM and ENOBUFS are `StopReason::Stuck`. Any other error is permanent: it is returned, each time, and
//! names `descriptor N`. If the first round of a batch finds an empty queue, ask poll(2) for POLLRDHUP: the listener
//! may have been shut down, which is EINVAL.
//!
//! When no descriptor is left (EMFILE, ENFILE), clients are shed: each is accepted in place of a spare descriptor that
//! the acceptor keeps, sees a clean end of file, whatever it has sent, and counts toward the limit. Read what it has
//! sent only up to a bound; if it has left, that is no error. If that second accept4 finds no client, the queue is empty; if it
//! fails for one connection, go on. The spare is close-on-exec, opened by `new`, and opened again after each client, or else at
//! the start of the next batch. Without a spare, the batch is `Stuck`. The number of shed clients is reported at most once a
//! second, and neither an error nor a panic of the callback loses it. A panic loses the callback's connection only.
//!
//! `nix::sys::socket` has `accept4`; you may also need `cloexec::open` and `nonblocking::drain`. Run `cargo workbook
//! check accept` after each change; `hint accept` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;

use crate::Result;

/// The default limit of a batch, in connections.
pub const BATCH: usize = 128;

/// Accepts the connections that are queued on a listening socket. What must it keep?
#[derive(Debug)]
pub struct Acceptor {}

/// Why a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The queue is empty. The poller reports the listener as readable when the next client connects.
    Empty,
    /// The batch reached its limit. More connections may be queued: accept again after the other ready
    /// descriptors were handled.
    Full,
    /// The acceptor was removed. Connections that are still queued stay in the queue.
    Removed,
    /// No descriptor is left, not even one to accept a client with and close it, or no memory. The listener stays
    /// readable.
    Stuck(Errno),
}

/// What one call of [`Acceptor::accept`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many connections were accepted and given to the callback.
    pub accepted: usize,
    /// How many connections were shed since the last report: accepted and closed, for lack of a descriptor. `None` if
    /// there were none, or if the last report is less than a second old.
    pub shed: Option<usize>,
    /// Why the batch ended.
    pub reason: StopReason,
}

/// Removes an [`Acceptor`], even while it is accepting. All clones remove the same one.
#[derive(Debug, Clone)]
pub struct Remover {}

impl Remover {
    /// Stop the acceptor for good. A batch that is under way ends before its next connection.
    pub fn remove(&self) {
        todo!("stop the acceptor: write `remove` in exercises/accept.rs")
    }
}

impl Acceptor {
    /// Accept from this socket, which is listening and nonblocking.
    pub fn new(listener: impl Into<OwnedFd>) -> Result<Self> {
        todo!("accept from {:?}: write `new` in exercises/accept.rs", listener.into())
    }

    /// Limit a batch to this many connections, including those that are closed at once. 0 counts as 1.
    pub fn with_batch(self, batch: usize) -> Self {
        todo!("limit a batch to {batch} connections: write `with_batch` in exercises/accept.rs")
    }

    /// A handle that removes this acceptor.
    pub fn remover(&self) -> Remover {
        todo!("make a handle that removes the acceptor: write `remover` in exercises/accept.rs")
    }

    /// Accept queued connections, and give each to `connected`. `now` is the loop's current time. An error means that
    /// the descriptor is not a listening socket, and names it.
    pub fn accept(&mut self, now: Instant, connected: impl FnMut(OwnedFd)) -> Result<Batch> {
        let _ = connected;
        todo!("accept the queued connections at {now:?}: write `accept` in exercises/accept.rs")
    }
}

/// The listener, which a poller waits for.
impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("lend the listener: write `as_fd` in exercises/accept.rs")
    }
}
