//! Another way for `waker/coalesced`: the flag is a bit, set by `fetch_or` and cleared by `fetch_and`, all of it SeqCst.

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicBool, Ordering};
use super::{Result, Wake};

/// A waker, with a flag that says whether a wake is pending.
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicBool,
}

impl<W: Wake> Coalesced<W> {
    /// Puts a flag in front of a waker.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicBool::new(false) }
    }

    /// Makes the waker ready, unless a wake is pending.
    pub fn wake(&self) -> Result<()> {
        if self.pending.fetch_or(true, Ordering::SeqCst) {
            return Ok(());
        }
        let woken = self.waker.wake();
        if woken.is_err() {
            self.pending.fetch_and(false, Ordering::SeqCst);
        }
        woken
    }

    /// Drains the waker, clears the flag, and calls `check`.
    pub fn consume_then<T>(&self, check: impl FnOnce() -> T) -> Result<T> {
        self.waker.consume()?;
        self.pending.fetch_and(false, Ordering::SeqCst);
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
