//! Another way for `ioloop/epoll`: libc's `epoll_ctl`, a new array for each wait, and `epoll_pwait2` only for parts of a millisecond.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::poller::{Poller, failed, pwait2};
use crate::{Error, Event, Events, Result, Token};

/// Raw calls for epoll_ctl and epoll_wait, an array that grows, and epoll_pwait2 for every limit under a day.
#[derive(Debug)]
pub struct Epoll {
    epoll: epoll::Epoll,
    room: usize,
    refused: bool,
}

impl Epoll {
    /// An epoll instance that watches nothing.
    pub fn new() -> Result<Self> {
        epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map(|epoll| Self { epoll, room: 256, refused: false })
            .map_err(Error::on("epoll_create1", "epoll"))
    }

    fn control(&self, op: i32, call: &'static str, fd: RawFd, bits: u32, data: u64) -> Result<()> {
        let mut event = libc::epoll_event { events: bits, u64: data };
        // SAFETY: `event` lives through the call, and the kernel checks both numbers.
        let answer = unsafe { libc::epoll_ctl(self.epoll.0.as_raw_fd(), op, fd, &raw mut event) };
        Errno::result(answer).map(drop).map_err(|errno| failed(call, fd, errno))
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.control(
            libc::EPOLL_CTL_ADD,
            "epoll_ctl(EPOLL_CTL_ADD)",
            fd,
            interest.bits() as u32,
            token.to_bits(),
        )
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.control(
            libc::EPOLL_CTL_MOD,
            "epoll_ctl(EPOLL_CTL_MOD)",
            fd,
            interest.bits() as u32,
            token.to_bits(),
        )
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        self.control(libc::EPOLL_CTL_DEL, "epoll_ctl(EPOLL_CTL_DEL)", fd, 0, 0)
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        let mut array = vec![EpollEvent::new(EpollFlags::empty(), 0); self.room];
        let mut answer = Err(Errno::ENOSYS);
        let exact = !self.refused && timeout.is_some_and(|timeout| timeout.subsec_nanos() % 1_000_000 != 0);
        if exact {
            answer = pwait2::epoll_pwait2(&self.epoll, &mut array, timeout);
        }
        if matches!(answer, Err(Errno::ENOSYS | Errno::EPERM)) {
            self.refused |= exact;
            let limit = match timeout {
                None => -1,
                Some(timeout) => {
                    let up = timeout.as_nanos() / 1_000_000 + u128::from(timeout.as_nanos() % 1_000_000 > 0);
                    up.min(i32::MAX as u128) as i32
                }
            };
            answer = self.epoll.wait(&mut array, epoll::EpollTimeout::try_from(limit).expect("-1 or more"));
        }
        if answer == Err(Errno::EINTR) {
            answer = Ok(0);
        }
        let Ok(count) = answer else {
            ready.clear();
            return answer.map(drop).map_err(Error::on("epoll_wait", "epoll"));
        };
        if count == self.room {
            self.room *= 2;
        }
        *ready = array
            .into_iter()
            .take(count)
            .map(|event| Event {
                token: Token::from_bits(event.data()),
                events: Events::from_bits_retain(event.events().bits() as _),
            })
            .collect();
        Ok(())
    }
}

/// Borrow a descriptor by its number, for epoll_ctl(2), which fails with EBADF if the descriptor is not open. This
/// function is given.
fn borrowed<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: the borrow ends with the call, and the kernel checks the number. `BorrowedFd` must not be -1, so a negative
    // number becomes one that no process can have.
    unsafe { BorrowedFd::borrow_raw(if fd < 0 { RawFd::MAX } else { fd }) }
}
