//! A flag in front of a waker: while a wake is pending, the next one costs no system call.
//!
//! Contract: the flag is set only while the waker is ready, or while a thread that set it is about to make it
//! so. What a thread did before `wake` is seen by `look`, either in a `consume_then` that has not come to look
//! yet, or in one that the waker's readiness brings about. No wake-up is lost.
//!
//! Three steps, in this order: drain the waker, clear the flag, look at the queue.
//! - Look before the flag is clear, and what is queued in between finds the flag set, wakes nobody, and waits.
//! - Clear before the waker is drained, and a wake in between sets the flag and has its byte drained with the
//!   others: a flag that is set, a waker that is not ready, and from then on nobody wakes the loop.
//! - Drained, clear, looked: a wake before the clear is seen by the look; one after it makes the waker ready,
//!   and nothing drains that until the loop has come round.

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicBool, Ordering};
use super::{Result, Wake};

/// A waker, and whether a wake of it is pending.
// ANCHOR: coalesced
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicBool,
}
// ANCHOR_END: coalesced

impl<W: Wake> Coalesced<W> {
    /// Put a flag in front of a waker. A wake that the waker has pending already is kept.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicBool::new(false) }
    }

    /// Make the waker ready, unless it is already, or is about to be. To be called after the news is where
    /// `look` will find it.
    ///
    /// # Errors
    /// The waker's. No wake is pending then: the next call tries again.
    // ANCHOR: wake
    pub fn wake(&self) -> Result<()> {
        // A swap, and not a load and then a store. It writes whatever it finds, so that also a thread that
        // finds the flag set has published (Release) what it queued, to the swap that clears the flag. A load
        // publishes nothing, and may answer with a value that is no longer there.
        // Acquire: the wake below comes after the drain that went with the clear that is read here.
        if self.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.waker.wake().inspect_err(|_| self.pending.store(false, Ordering::Release))
    }
    // ANCHOR_END: wake

    /// Drain the waker, let the next wake through again, and then `look` at what the wakes so far were for.
    /// The loop calls this whenever its poller reports the waker; calling it more often does no harm.
    ///
    /// # Errors
    /// The waker's, and `look` is not called then.
    // ANCHOR: consume
    pub fn consume_then<T>(&self, look: impl FnOnce() -> T) -> Result<T> {
        // Whatever the flag says: a thread that set it before the last clear may have made the waker ready
        // after that, and what is not drained keeps a level-triggered poller from sleeping.
        self.waker.consume()?;
        // A swap here too: it reads from the last wake that it takes away (Acquire), so `look` sees what was
        // queued before that, and before the ones that that one found. A store would read nothing: `look` might
        // not see what came with a wake that found the flag still set. Release: the drain stays before this.
        self.pending.swap(false, Ordering::AcqRel);
        Ok(look())
    }
    // ANCHOR_END: consume

    /// The waker behind the flag. Waking it directly is harmless; consuming it directly loses a wake.
    pub fn get_ref(&self) -> &W {
        &self.waker
    }
}

impl<W: AsFd> AsFd for Coalesced<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
