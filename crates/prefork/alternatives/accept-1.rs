//! Another way for `prefork/accept`: the remover has an atomic flag, and the batch is counted up.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, SockFlag, accept4, shutdown};
use nix::unistd::read;

use crate::{Error, Result};

/// How much is read of what a shed client has sent.
const BOUND: usize = 256 * 1024;

/// Reports of shed clients are at least this far apart.
const PAUSE: Duration = Duration::from_secs(1);

/// The default limit of a batch, in connections.
pub const BATCH: usize = 128;

/// Accepts the connections that are queued on a listening socket. What must it keep?
#[derive(Debug)]
pub struct Acceptor {
    listener: OwnedFd,
    spare: Option<OwnedFd>,
    limit: usize,
    removed: Arc<AtomicBool>,
    /// Shed since the last report.
    shed: usize,
    reported: Option<Instant>,
}

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
pub struct Remover(Arc<AtomicBool>);

impl Remover {
    /// Stop the acceptor for good. A batch that is under way ends before its next connection.
    pub fn remove(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Acceptor {
    /// Accept from this socket, which is listening and nonblocking.
    pub fn new(listener: impl Into<OwnedFd>) -> Result<Self> {
        let spare = Some(open_spare()?);
        let listener = listener.into();
        Ok(Self { listener, spare, limit: BATCH, removed: Arc::default(), shed: 0, reported: None })
    }

    /// Limit a batch to this many connections, including those that are closed at once. 0 counts as 1.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { limit: batch.max(1), ..self }
    }

    /// A handle that removes this acceptor.
    pub fn remover(&self) -> Remover {
        Remover(Arc::clone(&self.removed))
    }

    /// Accept queued connections, and give each to `connected`. `now` is the loop's current time. An error means that
    /// the descriptor is not a listening socket, and names it.
    pub fn accept(&mut self, now: Instant, mut connected: impl FnMut(OwnedFd)) -> Result<Batch> {
        if self.spare.is_none() {
            self.spare = open_spare().ok();
        }
        let mut accepted = 0;
        let mut rounds = 0;
        let reason = loop {
            if self.removed.load(Ordering::SeqCst) {
                break StopReason::Removed;
            }
            if rounds == self.limit {
                break StopReason::Full;
            }
            rounds += 1;
            let errno = match self.accept_one() {
                Ok(connection) => {
                    accepted += 1;
                    connected(connection);
                    continue;
                }
                Err(Errno::EMFILE | Errno::ENFILE) if self.spare.is_some() => {
                    self.spare = None;
                    let second = self.accept_one().map(|connection| {
                        let_go(connection);
                        self.shed += 1;
                    });
                    self.spare = open_spare().ok();
                    match second {
                        Ok(()) => continue,
                        Err(errno) => errno,
                    }
                }
                Err(errno) => errno,
            };
            match errno {
                Errno::EAGAIN if rounds == 1 && self.was_shut_down() => {
                    let object = format!("descriptor {}", self.listener.as_raw_fd());
                    return Err(Error::on("accept4", object)(Errno::EINVAL));
                }
                Errno::EAGAIN => break StopReason::Empty,
                Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS => {
                    break StopReason::Stuck(errno);
                }
                errno if concerns_one(errno) => {}
                errno => {
                    let object = format!("descriptor {}", self.listener.as_raw_fd());
                    return Err(Error::on("accept4", object)(errno));
                }
            }
        };
        let due = self.reported.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        let mut shed = None;
        if self.shed > 0 && due {
            shed = Some(self.shed);
            self.shed = 0;
            self.reported = Some(now);
        }
        Ok(Batch { accepted, shed, reason })
    }

    /// A Unix socket that was shut down returns EAGAIN too.
    fn was_shut_down(&self) -> bool {
        let hangup = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
        poll(&mut [PollFd::new(self.listener.as_fd(), hangup)], PollTimeout::ZERO) == Ok(1)
    }

    fn accept_one(&self) -> nix::Result<OwnedFd> {
        let fd = accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        // SAFETY: the kernel has just made this descriptor, so nothing else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

fn open_spare() -> Result<OwnedFd> {
    File::open("/dev/null").map(OwnedFd::from).map_err(Error::on_io("open", "/dev/null"))
}

/// Close a connection so that its client reads end of file.
fn let_go(connection: OwnedFd) {
    _ = shutdown(connection.as_raw_fd(), Shutdown::Write);
    let mut buffer = [0; 16 * 1024];
    let mut total = 0;
    while total < BOUND {
        match read(&connection, &mut buffer) {
            Ok(0) => break,
            Ok(n) => total += n,
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
}

/// Errors of accept4 after which the next connection may be well.
fn concerns_one(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
    )
}

/// The listener, which a poller waits for.
impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
