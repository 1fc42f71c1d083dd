//! The interface of every waker, so that a loop can use any of them.

use crate::Result;

/// Ends the sleep of a poller that watches the waker's descriptor (`AsFd`) for reading.
// ANCHOR: wake
pub trait Wake {
    /// Makes the descriptor ready. Any thread may call this, and it never blocks. If the
    /// descriptor is ready already, it stays ready.
    ///
    /// # Errors
    /// The kernel's errno, if the descriptor cannot be made ready.
    fn wake(&self) -> Result<()>;

    /// Makes the descriptor not ready, however many wakes came before. The loop must look for
    /// work only after this.
    ///
    /// # Errors
    /// The kernel's errno. Then the descriptor may still be ready, so a loop that ignores the
    /// error spins.
    fn consume(&self) -> Result<()>;
}
// ANCHOR_END: wake
