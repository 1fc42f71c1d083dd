//! Mistake: the flag is cleared, and then the waker drained.
//! Caught by: a_wake_while_the_loop_drains_is_not_lost
//! Message: Drain, and then clear

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicBool, Ordering};
use super::{Result, Wake};

/// A waker, and whether a wake of it is pending.
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicBool,
}

impl<W: Wake> Coalesced<W> {
    /// Put a flag in front of a waker. A wake that the waker has pending already is kept.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicBool::new(false) }
    }

    /// Make the waker ready, unless it is already, or is about to be. To be called after the news is where
    /// `look` will find it.
    pub fn wake(&self) -> Result<()> {
        if self.pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.waker.wake().inspect_err(|_| self.pending.store(false, Ordering::Release))
    }

    /// Drain the waker, let the next wake through again, and then `look` at what the wakes so far were for.
    /// The loop calls this whenever its poller reports the waker; calling it more often does no harm.
    pub fn consume_then<T>(&self, look: impl FnOnce() -> T) -> Result<T> {
        self.pending.swap(false, Ordering::AcqRel);
        self.waker.consume()?;
        Ok(look())
    }

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
