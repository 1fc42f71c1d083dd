//! Exercise `ioloop/epoll`: a poller on epoll(7).
//!
//! Goal: a wait reports each descriptor that was added and is ready, with its whole token and exactly the events that the
//! kernel reports, until the descriptor is removed. `interest` goes to the kernel with all its bits, and none is added.
//! `modify` replaces token and interest, and rearms a oneshot even if both stay the same. What the kernel refuses is an error
//! with the kernel's errno (EEXIST, ENOENT, EBADF, EPERM), made by `crate::poller::failed`; it names the descriptor and the
//! call, "epoll_ctl(EPOLL_CTL_ADD)" for example.
//!
//! `wait` replaces what `ready` held, even if nothing is ready. It ends when a descriptor is ready, when a signal arrives
//! (Ok, with no events), or when the timeout is over: not earlier, and without waits of 0 ms before that. A timeout of zero
//! does not sleep. A timeout that is too long for the call becomes the longest one; `None` has no limit. For a fraction
//! of a millisecond, call `epoll_pwait2` in `crate::poller::pwait2`, which takes nanoseconds; if the kernel refuses it with
//! ENOSYS or EPERM, do not try it again, and round up to milliseconds. One wait has room for hundreds of events.
//!
//! A program that this process starts does not inherit the epoll instance, and dropping `Epoll` closes it. Run
//! `cargo workbook check ioloop/epoll` after each change; `hint ioloop/epoll` if you are stuck.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use crate::poller::Poller;
use crate::{Event, Events, Result, Token};

/// An epoll instance. What must it keep?
#[derive(Debug)]
pub struct Epoll {}

impl Epoll {
    /// An epoll instance that watches nothing.
    pub fn new() -> Result<Self> {
        todo!("make an epoll instance: write `new` in exercises/epoll.rs")
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        todo!("report {:?} as {token:?} for {interest:?}: write `add` in exercises/epoll.rs", borrowed(fd))
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        todo!("report {fd} as {token:?} for {interest:?} from now on: write `modify` in exercises/epoll.rs")
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        todo!("stop watching {fd}: write `remove` in exercises/epoll.rs")
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        todo!("sleep for at most {timeout:?}, and fill {ready:?}: write `wait` in exercises/epoll.rs")
    }
}

/// Borrow a descriptor by its number, for epoll_ctl(2), which fails with EBADF if the descriptor is not open. This
/// function is given.
fn borrowed<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: the borrow ends with the call, and the kernel checks the number. `BorrowedFd` must not be -1, so a negative
    // number becomes one that no process can have.
    unsafe { BorrowedFd::borrow_raw(if fd < 0 { RawFd::MAX } else { fd }) }
}
