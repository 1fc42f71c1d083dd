//! Mistake: what goes wrong with a connection that is being sent away ends the turn.
//! Caught by: a_connection_that_goes_wrong_while_it_is_sent_away_does_not_end_the_turn
//! Message: the connection that was to be sent away has gone

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{Shutdown, SockFlag, accept4, shutdown};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// How many connections a turn takes, unless told otherwise.
pub const BATCH: usize = 128;

/// How much of what a shed client has sent already is read, in bytes: see `shed_one`.
const SENT: usize = 64 * 1024;

/// How often the loop is told that connections are shed.
const SAY: Duration = Duration::from_secs(1);

/// Accepts what is queued on a listening socket.
#[derive(Debug)]
pub struct Acceptor {
    listener: OwnedFd,
    /// Given up for a moment when there is no other. Nothing is read from it or written to it.
    spare: Option<OwnedFd>,
    batch: usize,
    removed: Rc<Cell<bool>>,
    /// Since it was last said: see [`Turn::shed`].
    shed: usize,
    said: Option<Instant>,
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody is queued: the poller says when somebody is.
    Empty,
    /// The bound is reached, and there may be more: after the others have had their turn.
    Batch,
    /// It was removed. Whoever is queued stays there.
    Removed,
    /// There is no descriptor, not even the one in reserve, or no memory. The listener stays ready: whoever polls
    /// it leaves it alone for a while, or spins.
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
pub struct Remover(Rc<Cell<bool>>);

impl Remover {
    /// From now on nothing is accepted, not even by a turn that is under way. Doing it twice does no harm.
    pub fn remove(&self) {
        self.0.set(true);
    }
}

impl Acceptor {
    /// Accept from this socket, which listens and is nonblocking.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` where not even the descriptor in reserve can be had.
    pub fn new(listener: impl Into<OwnedFd>) -> Result<Self> {
        let listener = listener.into();
        let spare = Some(reserve()?);
        Ok(Self { listener, spare, batch: BATCH, removed: Rc::default(), shed: 0, said: None })
    }

    /// Take so many connections a turn at most, those that are shed among them; at least one.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// What stops it.
    pub fn remover(&self) -> Remover {
        Remover(Rc::clone(&self.removed))
    }

    /// Accept who is queued, and pass each on: a socket that is close-on-exec and nonblocking. `now` is the time
    /// as the loop has it.
    ///
    /// # Errors
    /// What says that the listener itself is none: `EBADF`, `EINVAL`, `ENOTSOCK`, `EOPNOTSUPP`. See accept(2),
    /// "ERRORS".
    pub fn accept(&mut self, now: Instant, mut connected: impl FnMut(OwnedFd)) -> Result<Turn> {
        if self.spare.is_none() {
            // It was lost when nothing else was to be had. Now that somebody may have closed something, it may be.
            self.spare = reserve().ok();
        }
        let (mut taken, mut accepted) = (0, 0);
        let ended = loop {
            if self.removed.get() {
                break Ended::Removed;
            }
            if taken == self.batch {
                break Ended::Batch;
            }
            taken += 1;
            match self.take() {
                Ok(Some(connection)) => {
                    accepted += 1;
                    connected(connection);
                }
                Ok(None) => {}
                Err(Errno::EAGAIN) => break Ended::Empty,
                Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                    break Ended::Stuck(errno);
                }
                Err(errno) => {
                    let number = self.listener.as_raw_fd();
                    return Err(Error::on("accept4", format_args!("descriptor {number}"))(errno));
                }
            }
        };
        Ok(Turn { accepted, shed: self.say(now), ended })
    }

    /// The next connection; nothing for one that went wrong, or that was shed.
    fn take(&mut self) -> nix::Result<Option<OwnedFd>> {
        match accept_one(self.listener.as_fd()) {
            Ok(connection) => Ok(Some(connection)),
            Err(errno @ (Errno::EMFILE | Errno::ENFILE)) => self.shed_one(errno).map(|()| None),
            Err(errno) if is_of_one_connection(errno) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Take a connection with the descriptor in reserve, and close it; or give back why there is none to take it.
    fn shed_one(&mut self, none_left: Errno) -> nix::Result<()> {
        drop(self.spare.take().ok_or(none_left)?);
        let taken = accept_one(self.listener.as_fd());
        if let Ok(connection) = &taken {
            self.shed += 1;
            // The end goes out first. Then what has come in is read: with bytes unread, a close is a reset, and the
            // client would see an error in place of the end.
            let _ = shutdown(connection.as_raw_fd(), Shutdown::Write);
            let _ = nonblocking::drain::drain(connection, &mut Vec::new(), SENT);
        }
        // Closed before its number is the reserve's again.
        let taken = taken.map(drop);
        self.spare = reserve().ok();
        taken
    }

    fn say(&mut self, now: Instant) -> Option<usize> {
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY);
        if self.shed == 0 || !due {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.shed))
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn accept_one(listener: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // On Linux an accepted socket has none of its listener's flags.
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: the kernel has just made it for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Is it about the connection that was taken from the queue, and over with it? accept(2), "Error handling", has
/// the list: errors of the network that were waiting on the new socket.
fn is_of_one_connection(errno: Errno) -> bool {
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

/// A descriptor that can be given up. /dev/null is there in any system that can run a server.
fn reserve() -> Result<OwnedFd> {
    cloexec::open::open("/dev/null", OFlag::O_RDONLY, Mode::empty())
}
