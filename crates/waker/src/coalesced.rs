//! A flag in front of a waker: while a wake is pending, another wake makes no system call.
//!
//! Contract: the flag is set only while the waker is ready, or while the thread that set it is about to make it
//! ready. `check` sees everything that a thread did before `wake`: either in a `consume_then` that has not called
//! `check` yet, or in the next one, which the waker's readiness causes. No wake-up is lost, unless the waker itself fails: an
//! item of a thread that found the flag set meanwhile waits for the next wake that succeeds.
//!
//! `consume_then` takes three steps, in this order: drain the waker, clear the flag, check the queue.
//! - If it checked before it cleared, a sender that queues between the two would find the flag set and write nothing.
//!   Its item would stay in the queue until some other wake.
//! - If it cleared before it drained, a wake between the two would set the flag, and its byte would be drained with
//!   the others. The flag would stay set with no byte in the waker, and no later wake would reach the loop.
//! - In the right order, `check` sees the item of a wake before the clear. A wake after the clear makes the waker
//!   ready, and only the loop's next `consume_then` drains it.

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicBool, Ordering};
use super::{Result, Wake};

/// A waker, with a flag that says whether a wake is pending.
///
/// A child of fork(2) should make a new one: its copy wakes the parent's loop, and the flag may have been set by a thread
/// that the child lacks, which will never write the byte.
// ANCHOR: coalesced
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicBool,
}
// ANCHOR_END: coalesced

impl<W: Wake> Coalesced<W> {
    /// Puts a flag in front of a waker. If the waker is already ready, it stays ready.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicBool::new(false) }
    }

    /// Makes the waker ready, unless a wake is pending. Queue the item before you call this, so that `check` finds it.
    ///
    /// # Errors
    /// The waker's error. Then no wake is pending, so the next call tries again.
    // ANCHOR: wake
    pub fn wake(&self) -> Result<()> {
        // A swap writes even if the flag is set, so every thread publishes (Release) its queued item to the swap that
        // clears the flag. A load would publish nothing, and it may return an outdated value.
        // Acquire: if this swap finds the flag clear, it has read what the loop's swap wrote, and the loop had drained
        // the waker before. So the wake below comes after that drain, which cannot remove its byte.
        if self.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.waker.wake().inspect_err(|_| {
            // A swap, because it reads the values of threads that found the flag set meanwhile, and so publishes their
            // items again.
            self.pending.swap(false, Ordering::AcqRel);
        })
    }
    // ANCHOR_END: wake

    /// Drains the waker, clears the flag, and calls `check` to find the work of the wakes so far.
    ///
    /// The loop calls this whenever its poller reports the waker; calling it more often is harmless.
    ///
    /// # Errors
    /// The waker's error. Then `check` is not called.
    // ANCHOR: consume
    pub fn consume_then<T>(&self, check: impl FnOnce() -> T) -> Result<T> {
        // Even if the flag is clear: a thread that set it before the last clear may have written its byte after that
        // clear, and a level-triggered poller does not sleep until the byte is drained.
        self.waker.consume()?;
        // A swap here too, because it reads the value that the last wake wrote (Acquire), so `check` sees the item of
        // that wake and of every wake before it. A store would read nothing, so `check` could miss the item of a wake
        // that found the flag set. Release publishes the drain above to the thread that finds the flag clear.
        self.pending.swap(false, Ordering::AcqRel);
        Ok(check())
    }
    // ANCHOR_END: consume

    /// Returns the waker behind the flag. Waking it directly is harmless; consuming it directly loses a wake.
    pub fn get_ref(&self) -> &W {
        &self.waker
    }
}

impl<W: AsFd> AsFd for Coalesced<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
