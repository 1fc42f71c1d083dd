//! Another way for `waker/coalesced`: the flag is a number of wakes, and the wake that finds it at 0 reaches the waker.

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicUsize, Ordering};
use super::{Result, Wake};

/// A waker, with a flag that says whether a wake is pending.
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicUsize,
}

impl<W: Wake> Coalesced<W> {
    /// Puts a flag in front of a waker.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicUsize::new(0) }
    }

    /// Makes the waker ready, unless a wake is pending.
    pub fn wake(&self) -> Result<()> {
        if self.pending.fetch_add(1, Ordering::AcqRel) > 0 {
            return Ok(());
        }
        let woken = self.waker.wake();
        if woken.is_err() {
            self.pending.swap(0, Ordering::AcqRel);
        }
        woken
    }

    /// Drains the waker, clears the flag, and calls `check`.
    pub fn consume_then<T>(&self, check: impl FnOnce() -> T) -> Result<T> {
        self.waker.consume()?;
        self.pending.swap(0, Ordering::AcqRel);
        Ok(check())
    }

    /// Returns the waker behind the flag.
    pub fn get_ref(&self) -> &W {
        &self.waker
    }
}

impl<W: AsFd> AsFd for Coalesced<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
