//! epoll(7): the kernel keeps the list, and the cost of a wait depends on the ready descriptors, not on the watched
//! ones.
//!
//! Contract: see [`Poller`]. The kernel keeps 64 bits for each descriptor, and the token is in them, so an event needs no
//! look-up by descriptor. If the kernel has epoll_pwait2(2), timeouts have nanosecond resolution.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::poller::pwait2::epoll_pwait2;
use crate::poller::{Poller, failed, milliseconds};
use crate::{Error, Event, Events, Result, Token};

// ANCHOR: control
/// How many events a wait fetches at most. The next wait reports the rest.
const BATCH: usize = 512;

/// An epoll instance, close-on-exec.
#[derive(Debug)]
pub struct Epoll {
    epoll: nix::sys::epoll::Epoll,
    fetched: Vec<EpollEvent>,
    /// Does the kernel refuse epoll_pwait2?
    milliseconds_only: bool,
}

impl Epoll {
    /// An epoll instance that watches nothing.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`: see epoll_create(2), "ERRORS".
    pub fn new() -> Result<Self> {
        let epoll = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::on("epoll_create1", "a new instance"))?;
        Ok(Self { epoll, fetched: vec![EpollEvent::empty(); BATCH], milliseconds_only: false })
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        let added = self.epoll.add(borrowed(fd), event(token, interest));
        added.map_err(|errno| failed("epoll_ctl(EPOLL_CTL_ADD)", fd, errno))
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        let modified = self.epoll.modify(borrowed(fd), &mut event(token, interest));
        modified.map_err(|errno| failed("epoll_ctl(EPOLL_CTL_MOD)", fd, errno))
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        self.epoll.delete(borrowed(fd)).map_err(|errno| failed("epoll_ctl(EPOLL_CTL_DEL)", fd, errno))
    }
    // ANCHOR_END: control

    // ANCHOR: wait
    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        ready.clear();
        let count = match self.fetch(timeout) {
            Err(Errno::EINTR) => 0,
            other => other.map_err(Error::on("epoll_wait", "the loop's epoll"))?,
        };
        ready.extend(self.fetched[..count].iter().map(|event| Event {
            token: Token::from_bits(event.data()),
            events: Events::from_bits_truncate(event.events().bits() as u32),
        }));
        Ok(())
    }
    // ANCHOR_END: wait
}

// ANCHOR: fetch
impl Epoll {
    /// Wait, and let the kernel write the events into `fetched`. Returns how many events there are.
    ///
    /// # Errors
    /// The errors of epoll_wait(2), including `EINTR`.
    fn fetch(&mut self, timeout: Option<Duration>) -> nix::Result<usize> {
        // epoll_pwait2 is slower than epoll_wait, so use it only for a timeout with a fraction of a millisecond.
        let fraction = timeout.is_some_and(|timeout| timeout.subsec_nanos() % 1_000_000 != 0);
        if fraction && !self.milliseconds_only {
            match epoll_pwait2(&self.epoll, &mut self.fetched, timeout) {
                // ENOSYS: before Linux 5.11. EPERM: a seccomp filter that does not know the call.
                Err(Errno::ENOSYS | Errno::EPERM) => self.milliseconds_only = true,
                answer => return answer,
            }
        }
        let timeout = EpollTimeout::try_from(milliseconds(timeout)).unwrap_or(EpollTimeout::MAX);
        self.epoll.wait(&mut self.fetched, timeout)
    }
}

fn event(token: Token, interest: Events) -> EpollEvent {
    EpollEvent::new(EpollFlags::from_bits_truncate(interest.bits() as i32), token.to_bits())
}
// ANCHOR_END: fetch

/// Lend a raw descriptor to epoll_ctl(2), which itself checks that the descriptor is open (EBADF).
fn borrowed<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: the borrow ends with the call, and the kernel checks the number. `BorrowedFd` must not be -1, so a negative
    // number becomes one that no process can have.
    unsafe { BorrowedFd::borrow_raw(if fd < 0 { RawFd::MAX } else { fd }) }
}
