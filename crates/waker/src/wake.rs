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

    /// Makes the descriptor not ready, and so ends every wake so far. The loop must look for
    /// work only after this.
    ///
    /// # Errors
    /// The kernel's errno, if the descriptor may stay ready. A loop that ignores this error
    /// spins.
    fn consume(&self) -> Result<()>;
}
// ANCHOR_END: wake
