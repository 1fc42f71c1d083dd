//! Accepting the connections that are queued on a listener, a bounded number at a time, even without free descriptors.
//!
//! Contract: each batch ends: when the queue is empty, at the limit, or when the acceptor has been removed, which the
//! callback may do too. An error that concerns one connection does not stop the others. What passes by itself is a
//! [`StopReason`], and an `Err` is permanent: this listener accepts no more. When the process has no descriptor left,
//! the acceptor gives up its spare one, accepts each client with it, and closes the connection at once. A connection
//! left in the queue would keep the listener readable, and a poll loop would spin on it.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, SockFlag, accept4, shutdown};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// The default limit of a batch, in connections.
pub const BATCH: usize = 128;

/// How many bytes of a shed client's request are read before its socket is closed: see `shed_one`.
const DRAIN_LIMIT: usize = 64 * 1024;

/// The shortest time between two reports of shed connections.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Accepts the connections that are queued on a listening socket.
// ANCHOR: acceptor
#[derive(Debug)]
pub struct Acceptor {
    listener: OwnedFd,
    /// Closed to make room for one connection when no other descriptor is left. It is never read or written.
    spare: Option<OwnedFd>,
    batch: usize,
    removed: Rc<Cell<bool>>,
    /// Connections shed since the last report: see [`Batch::shed`].
    shed: usize,
    last_report: Option<Instant>,
}
// ANCHOR_END: acceptor

/// Why a batch ended.
// ANCHOR: batch
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The queue is empty. The poller reports the listener as readable when the next client connects.
    Empty,
    /// The batch reached its limit. More connections may be queued: accept again after the other ready
    /// descriptors were handled.
    Full,
    /// The acceptor was removed. Connections that are still queued stay in the queue.
    Removed,
    /// No descriptor is left, not even the spare one (`EMFILE`, `ENFILE`), or no memory (`ENOBUFS`, `ENOMEM`). The
    /// listener stays readable, so stop polling it for a while, or the loop spins.
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
// ANCHOR_END: batch

/// Removes an [`Acceptor`], even while it is accepting. All clones remove the same one.
// ANCHOR: remover
#[derive(Debug, Clone)]
pub struct Remover(Rc<Cell<bool>>);

impl Remover {
    /// Stop the acceptor for good. A batch that is under way ends before its next connection. Calling this twice is
    /// harmless.
    pub fn remove(&self) {
        self.0.set(true);
    }
}
// ANCHOR_END: remover

impl Acceptor {
    /// Accept from this socket, which must be listening and nonblocking.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is left for the spare one; otherwise those of open(2) for /dev/null.
    pub fn new(listener: impl Into<OwnedFd>) -> Result<Self> {
        let listener = listener.into();
        let spare = Some(open_spare()?);
        Ok(Self { listener, spare, batch: BATCH, removed: Rc::default(), shed: 0, last_report: None })
    }

    /// Limit a batch to this many connections, shed ones included. 0 counts as 1.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// A handle that removes this acceptor.
    pub fn remover(&self) -> Remover {
        Remover(Rc::clone(&self.removed))
    }

    /// Accept queued connections, and give each to `connected` as a close-on-exec, nonblocking socket. `now` is the
    /// loop's current time.
    ///
    /// # Errors
    /// An error is permanent: the descriptor accepts no more, and stays ready. So report it once, and stop polling.
    /// - `EINVAL` if the socket does not listen, for example because a process that shares it has called shutdown(2).
    /// - `EBADF`, `ENOTSOCK` and `EOPNOTSUPP` if the descriptor is no socket that can listen; and all other errors that
    ///   no [`StopReason`] stands for: see accept(2), "ERRORS".
    ///
    /// The callback has got the connections that the batch had accepted before, and the next report counts those shed.
    // ANCHOR: accept
    pub fn accept(&mut self, now: Instant, mut connected: impl FnMut(OwnedFd)) -> Result<Batch> {
        if self.spare.is_none() {
            // An earlier batch could not reopen the spare. A descriptor may have been closed since.
            self.spare = open_spare().ok();
        }
        let (mut taken, mut accepted) = (0, 0);
        let reason = loop {
            if self.removed.get() {
                break StopReason::Removed;
            }
            if taken == self.batch {
                break StopReason::Full;
            }
            taken += 1;
            match self.take() {
                Ok(Some(connection)) => {
                    accepted += 1;
                    connected(connection);
                }
                Ok(None) => {}
                Err(Errno::EAGAIN) if taken > 1 || !was_shut_down(self.as_fd()) => break StopReason::Empty,
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                    break StopReason::Stuck(errno);
                }
                Err(errno) => {
                    // A blocking accept4 returns EINVAL for a listener that was shut down.
                    let errno = if errno == Errno::EAGAIN { Errno::EINVAL } else { errno };
                    let number = self.listener.as_raw_fd();
                    return Err(Error::on("accept4", format_args!("descriptor {number}"))(errno));
                }
            }
        };
        Ok(Batch { accepted, shed: self.report_shed(now), reason })
    }

    /// Take the next connection from the queue. `None` if it had failed already, or was shed.
    fn take(&mut self) -> nix::Result<Option<OwnedFd>> {
        match accept_one(self.listener.as_fd()) {
            Ok(connection) => Ok(Some(connection)),
            Err(errno @ (Errno::EMFILE | Errno::ENFILE)) => self.shed_one(errno).map(|()| None),
            Err(errno) if concerns_one_connection(errno) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
    // ANCHOR_END: accept

    /// Accept one connection in place of the spare descriptor, and close it. Returns the error of the second accept4,
    /// which is `EAGAIN` if the queue was empty, or `none_left` if the spare is gone too.
    // ANCHOR: shed
    fn shed_one(&mut self, none_left: Errno) -> nix::Result<()> {
        drop(self.spare.take().ok_or(none_left)?);
        let taken = accept_one(self.listener.as_fd());
        if let Ok(connection) = &taken {
            self.shed += 1;
            // Send the end of file first, and then read what the client has sent: closing a socket with unread bytes
            // resets the connection, and the client would see ECONNRESET instead of the end of file.
            let _ = shutdown(connection.as_raw_fd(), Shutdown::Write);
            let _ = nonblocking::drain::drain(connection, &mut Vec::new(), DRAIN_LIMIT);
        }
        // Close the connection before the spare is opened: both need the one free descriptor.
        let taken = taken.map(drop);
        self.spare = open_spare().ok();
        // `is_err_and` takes the result by value. A result without a connection is Copy, so it can be returned after that.
        if taken.is_err_and(concerns_one_connection) { Ok(()) } else { taken }
    }

    fn report_shed(&mut self, now: Instant) -> Option<usize> {
        let due = self.last_report.is_none_or(|last| now.saturating_duration_since(last) >= REPORT_INTERVAL);
        if self.shed == 0 || !due {
            return None;
        }
        self.last_report = Some(now);
        Some(std::mem::take(&mut self.shed))
    }
    // ANCHOR_END: shed
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

// ANCHOR: accept_one
fn accept_one(listener: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // On Linux an accepted socket does not inherit the flags of its listener.
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: the kernel has just made this descriptor, so no other value owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Was this listener shut down? If it is a Unix socket, accept4 without blocking then returns EAGAIN, as if the queue
/// were empty, and a poller reports it as readable without end.
fn was_shut_down(listener: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::from_bits_retain(libc::POLLRDHUP))];
    poll(&mut fds, PollTimeout::ZERO) == Ok(1)
}

/// Does this error concern only the connection that accept4 took from the queue? accept(2), "Error handling", lists
/// them: network errors that were pending on the new socket.
fn concerns_one_connection(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EPERM
    )
}

/// Open the spare descriptor. Every system that can run a server has /dev/null.
fn open_spare() -> Result<OwnedFd> {
    cloexec::open::open("/dev/null", OFlag::O_RDONLY, Mode::empty())
}
// ANCHOR_END: accept_one
