//! Exercise `waker/coalesced`: a flag in front of a waker, so that a second wake makes no system call.
//!
//! Goal: however many wakes come before the loop consumes them, only the first one reaches the waker behind the flag,
//! and no wake-up is ever lost. If a thread has queued an item and its `wake` has returned, a `check` that begins later
//! sees the item: the `check` of a `consume_then` that is running, or of the next one. The ready waker makes the loop call
//! the next one. All this holds even if `wake` found the flag set and wrote no byte. If the wake of the thread that set
//! the flag fails, the `check` after the next wake that succeeds sees the item.
//! `consume_then` takes three steps. You choose their order, and the memory ordering of each access to the flag. If `wake`
//! finds the flag clear, its wake of the waker must happen after the drain of the `consume_then` that cleared the flag.
//! The tests run the steps of the threads in every order, with every value that a load may return. For that the tests need
//! the atomics of `super::sync`, which are std's in the crate and loom's in the tests.
//! Run `cargo workbook check coalesced` after each change; `hint coalesced` if you are stuck.

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

    /// Makes the waker ready, unless a wake is pending. An error is the waker's; then no wake is pending, so the next call
    /// tries again.
    pub fn wake(&self) -> Result<()> {
        let _ = (&self.waker, self.pending.load(Ordering::Relaxed));
        todo!("wake the waker if the flag is clear: write `wake` in exercises/coalesced.rs")
    }

    /// Consumes the wakes so far, and calls `check` to find their work, without missing any. It drains the waker even if
    /// the flag is clear. An error is the waker's; then `check` is not called.
    pub fn consume_then<T>(&self, check: impl FnOnce() -> T) -> Result<T> {
        let _ = check;
        todo!(
            "drain the waker, clear the flag, check; in which order? Write `consume_then` in exercises/coalesced.rs"
        )
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
