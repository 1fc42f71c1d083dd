//! Exercise `ioloop/epoll`: what a loop sleeps in.
//!
//! Goal: what is added is reported as it was asked for, until it is removed, and its token comes back whole. A wait ends
//! when something is ready, when a signal comes, or when its time is over: not earlier, and without a detour through
//! waits of no time. A fraction of a millisecond is waited for in nanoseconds, by the call in `crate::poller::pwait2`. An
//! older kernel answers that with ENOSYS, and a filter of system calls with EPERM: then it is not tried again, and a wait
//! takes milliseconds, rounded up. What was reported before is not reported again. A program that is started from here
//! has nothing of it. Errors name the call and the descriptor (`crate::poller::failed`); `Poller`, in src/poller.rs, says
//! which.
//! Run `cargo run -p workbook check ioloop/epoll` after each change; `hint ioloop/epoll` if you are stuck.

use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use crate::poller::Poller;
use crate::{Events, Event, Result, Token};

/// An epoll instance. What must it keep?
#[derive(Debug)]
pub struct Epoll {}

impl Epoll {
    /// With nothing in it.
    pub fn new() -> Result<Self> {
        todo!("have the kernel make one: write `new` in exercises/epoll.rs")
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        todo!("report {:?} as {token:?} for {interest:?}: write `add` in exercises/epoll.rs", borrowed(fd))
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        todo!("and now as {token:?} for {interest:?}: write `modify` for {fd} in exercises/epoll.rs")
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        todo!("report {fd} no more: write `remove` in exercises/epoll.rs")
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        todo!("sleep for {timeout:?}, and say in {ready:?} what is ready: write `wait` in exercises/epoll.rs")
    }
}

/// For a call that takes a number and answers EBADF if nobody has it. It is given, and no part of the exercise.
fn borrowed<'fd>(fd: RawFd) -> BorrowedFd<'fd> {
    // SAFETY: the kernel is asked about the number, and the borrow ends with the call. -1 alone may not be
    // borrowed, and is turned into a number that no process has.
    unsafe { BorrowedFd::borrow_raw(if fd < 0 { RawFd::MAX } else { fd }) }
}
