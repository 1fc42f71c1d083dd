//! Another way for `ioloop/epoll`: `epoll_pwait2` for every timeout but zero, and a refusal that all pollers of the process remember.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::poller::{Poller, failed, milliseconds, pwait2};
use crate::{Error, Event, Events, Result, Token};

/// A kernel that refused once refuses every instance of this process.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// epoll_pwait2 for every timeout except zero; slices of at most an hour; whatever the kernel refuses, is refused.
#[derive(Debug)]
pub struct Epoll {
    kernel: epoll::Epoll,
    array: Box<[EpollEvent; 1024]>,
}

impl Epoll {
    /// An epoll instance that watches nothing.
    pub fn new() -> Result<Self> {
        let kernel = epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(Error::on("epoll_create1", "epoll"))?;
        Ok(Self { kernel, array: Box::new([EpollEvent::empty(); 1024]) })
    }

    fn once(&mut self, timeout: Option<Duration>) -> nix::Result<usize> {
        if timeout != Some(Duration::ZERO) && !REFUSED.load(Relaxed) {
            let capped = timeout.map(|timeout| timeout.min(Duration::from_secs(u32::MAX.into())));
            match pwait2::epoll_pwait2(&self.kernel, &mut self.array[..], capped) {
                Err(Errno::ENOSYS | Errno::EPERM) => REFUSED.store(true, Relaxed),
                answer => return answer,
            }
        }
        let limit = EpollTimeout::try_from(milliseconds(timeout)).unwrap_or(EpollTimeout::MAX);
        self.kernel.wait(&mut self.array[..], limit)
    }
}

fn interest_of(interest: Events) -> EpollFlags {
    EpollFlags::from_bits_retain(interest.bits() as _)
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        match self.kernel.add(borrowed(fd), EpollEvent::new(interest_of(interest), token.to_bits())) {
            Ok(()) => Ok(()),
            Err(errno) => Err(failed("epoll_ctl(EPOLL_CTL_ADD)", fd, errno)),
        }
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        match self.kernel.modify(borrowed(fd), &mut EpollEvent::new(interest_of(interest), token.to_bits())) {
            Ok(()) => Ok(()),
            Err(errno) => Err(failed("epoll_ctl(EPOLL_CTL_MOD)", fd, errno)),
        }
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        match self.kernel.delete(borrowed(fd)) {
            Ok(()) => Ok(()),
            Err(errno) => Err(failed("epoll_ctl(EPOLL_CTL_DEL)", fd, errno)),
        }
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        let answer = self.once(timeout);
        ready.truncate(0);
        let count = match answer {
            Ok(count) => count,
            Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(Error::on("epoll_pwait2", "epoll")(errno)),
        };
        for event in &self.array[..count] {
            ready.push(Event {
                token: Token::from_bits(event.data()),
                events: Events::from_bits_retain(event.events().bits() as _),
            });
        }
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
