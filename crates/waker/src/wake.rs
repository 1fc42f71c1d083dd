//! What every waker can do, so that a loop may have any of them.

use crate::coalesced::Coalesced;
use crate::{Result, eventfd, pipe};

/// Something that ends the sleep of a poller. The poller watches its descriptor (`AsFd`) for reading.
// ANCHOR: wake
pub trait Wake {
    /// Make the descriptor ready. From any thread, and without ever blocking; where a wake is pending already,
    /// there is nothing to do.
    ///
    /// # Errors
    /// What the kernel answers, where the descriptor cannot be made ready at all.
    fn wake(&self) -> Result<()>;

    /// End the readiness, and with it every wake so far. Only after this does the loop look at what it was
    /// woken for.
    ///
    /// # Errors
    /// What the kernel answers, where the descriptor stays ready: a loop that ignores this spins.
    fn consume(&self) -> Result<()>;
}
// ANCHOR_END: wake

impl Wake for pipe::Waker {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume()
    }
}

impl Wake for eventfd::Waker {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume()
    }
}

impl<W: Wake> Wake for Coalesced<W> {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume_then(|| ())
    }
}
