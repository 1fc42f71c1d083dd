//! epoll(7): the kernel keeps the list, and a wait costs what is ready, not what is watched.
//!
//! Contract: see [`Poller`]. The token travels in the 64 bits that the kernel keeps for each descriptor, so what
//! comes back needs no look-up by number. Where the kernel has epoll_pwait2, a wait takes nanoseconds.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::poller::pwait2::epoll_pwait2;
use crate::poller::{Poller, failed, milliseconds};
use crate::{Error, Event, Events, Result, Token};

/// How many events a wait fetches at most. What is ready beyond that is reported by the next one.
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
    /// With nothing in it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: see epoll_create(2), "ERRORS".
    pub fn new() -> Result<Self> {
        let epoll = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::on("epoll_create1", "a new instance"))?;
        Ok(Self { epoll, fetched: vec![EpollEvent::empty(); BATCH], milliseconds_only: false })
    }
}

impl Poller for Epoll {
    // ANCHOR: control
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

impl Epoll {
    // ANCHOR: fetch
    /// Let the kernel write what is ready into `fetched`. Returns how many events there are.
    fn fetch(&mut self, timeout: Option<Duration>) -> nix::Result<usize> {
        // Only a fraction of a millisecond needs the call that takes nanoseconds: it takes longer itself.
        let fraction = timeout.is_some_and(|timeout| timeout.subsec_nanos() % 1_000_000 != 0);
        if fraction && !self.milliseconds_only {
            match epoll_pwait2(&self.epoll, &mut self.fetched, timeout) {
                // An older kernel does not have it; a container's filter may not know it.
                Err(Errno::ENOSYS | Errno::EPERM) => self.milliseconds_only = true,
                answer => return answer,
            }
        }
        let timeout = EpollTimeout::try_from(milliseconds(timeout)).unwrap_or(EpollTimeout::MAX);
        self.epoll.wait(&mut self.fetched, timeout)
    }
    // ANCHOR_END: fetch
}

fn event(token: Token, interest: Events) -> EpollEvent {
    EpollEvent::new(EpollFlags::from_bits_truncate(interest.bits() as i32), token.to_bits())
}

/// For a call that takes a number and answers EBADF if nobody has it.
fn borrowed<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: the kernel is asked about the number, and the borrow ends with the call. -1 alone may not be
    // borrowed, and is turned into a number that no process has.
    unsafe { BorrowedFd::borrow_raw(if fd < 0 { RawFd::MAX } else { fd }) }
}
