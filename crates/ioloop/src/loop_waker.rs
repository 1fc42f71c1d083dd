//! The eventfd that wakes a loop. On epoll it is watched edge-triggered and never drained.
//!
//! Contract: neither `wake` nor `consume` blocks. On epoll each write is an edge, even if the counter was not zero before.
//! epoll_wait(2) reports an edge once, so there is nothing to drain, and a wake from another thread is two system calls: the
//! write, and the wait that it ends. poll and select report the counter as long as it is not zero, so on them `consume`
//! drains it, which is a third system call.

use std::os::fd::{AsFd, BorrowedFd};

use crate::poller::Kind;
use crate::{Events, Result, Wake};

/// An eventfd, and the interest with which the loop watches it.
#[derive(Debug)]
pub(crate) struct LoopWaker {
    eventfd: waker::eventfd::Waker,
    interest: Events,
}

impl LoopWaker {
    /// A waker for a loop that sleeps in this poller.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` of eventfd(2).
    pub(crate) fn new(poller: Kind) -> Result<Self> {
        let how = if poller.reports_edges() { Events::EDGE } else { Events::empty() };
        Ok(Self { eventfd: waker::eventfd::Waker::new()?, interest: Events::READ | how })
    }

    /// The interest with which the loop must watch it.
    pub(crate) fn interest(&self) -> Events {
        self.interest
    }

    /// The descriptor to which a signal handler writes eight bytes: see [`waker::eventfd::Waker::writer`].
    pub(crate) fn writer(&self) -> BorrowedFd<'_> {
        self.eventfd.writer()
    }
}

impl Wake for LoopWaker {
    /// Write 1 to the eventfd. After 2^64 - 2 wakes the counter is full, and a wake causes no edge: 584 years at one
    /// per nanosecond.
    fn wake(&self) -> Result<()> {
        self.eventfd.wake()
    }

    // ANCHOR: consume
    fn consume(&self) -> Result<()> {
        if self.interest.contains(Events::EDGE) { Ok(()) } else { self.eventfd.consume() }
    }
    // ANCHOR_END: consume
}

impl AsFd for LoopWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
