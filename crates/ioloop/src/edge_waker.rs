//! The eventfd that wakes a loop. On epoll it is watched for edges and never drained.
//!
//! Contract: neither `wake` nor `consume` blocks. On epoll each wake is an edge, even if the counter was not zero before: a
//! wait reports an edge once, so there is nothing to end, and a wake from another thread is two system calls in all, the
//! write and the wait that it ends. poll and select report the counter as long as it is not zero, so there `consume` drains
//! it: a third call.

use std::os::fd::{AsFd, BorrowedFd};

use crate::poller::Kind;
use crate::{Events, Result, Wake};

/// An eventfd, and how it is watched.
#[derive(Debug)]
pub(crate) struct EdgeWaker {
    eventfd: waker::eventfd::Waker,
    interest: Events,
}

impl EdgeWaker {
    /// A waker for a loop that sleeps in this.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: see eventfd(2).
    pub(crate) fn new(poller: Kind) -> Result<Self> {
        let how = if poller.reports_edges() { Events::EDGE } else { Events::empty() };
        Ok(Self { eventfd: waker::eventfd::Waker::new()?, interest: Events::READ | how })
    }

    /// What it must be watched for.
    pub(crate) fn interest(&self) -> Events {
        self.interest
    }

    /// Where a signal handler writes. Eight bytes, as for [`waker::eventfd::Waker::writer`].
    pub(crate) fn writer(&self) -> BorrowedFd<'_> {
        self.eventfd.writer()
    }
}

impl Wake for EdgeWaker {
    /// The counter would be full, and a wake no edge, after 2^64 wakes: with one each nanosecond, in 584 years.
    fn wake(&self) -> Result<()> {
        self.eventfd.wake()
    }

    // ANCHOR: consume
    fn consume(&self) -> Result<()> {
        if self.interest.contains(Events::EDGE) { Ok(()) } else { self.eventfd.consume() }
    }
    // ANCHOR_END: consume
}

impl AsFd for EdgeWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
