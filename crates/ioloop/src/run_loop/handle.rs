//! What other threads have of a loop: they can give it a callback, wake it, and stop it.
//!
//! Contract: nothing here waits for the loop. A callback is in the queue before the loop is woken, and any number of them
//! that come before it looks are one wake. After the loop is closed, all of it does nothing.

use std::fmt;
use std::sync::Arc;

use super::{IoLoop, Sent};
use crate::edge_waker::EdgeWaker;
use crate::shared::Shared;
use crate::{IntoOutcome, Origin, Result};

/// A loop, as other threads have it; clones are one. It does not keep the loop alive.
#[derive(Clone)]
pub struct LoopHandle(pub(super) Arc<Shared<Sent, EdgeWaker>>);

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoopHandle").field(&self.0).finish()
    }
}

impl IoLoop {
    /// What the loop is called in other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle(Arc::clone(&self.0.shared))
    }

    /// Is this the handle's loop?
    pub fn is(&self, handle: &LoopHandle) -> bool {
        Arc::ptr_eq(&self.0.shared, &handle.0)
    }
}

impl LoopHandle {
    /// Let the loop run this in its next iteration, and wake it if it sleeps.
    ///
    /// # Errors
    /// What the kernel answers to the wake. The callback is queued all the same.
    // ANCHOR: add_callback
    pub fn add_callback<F, R>(&self, callback: F) -> Result<()>
    where
        F: FnOnce(&IoLoop) -> R + Send + 'static,
        R: IntoOutcome,
    {
        // In the loop's own thread it is awake, and needs no system call.
        if let Some(here) = IoLoop::current().filter(|here| here.is(self)) {
            here.add_callback(callback);
            return Ok(());
        }
        self.0.send(Box::new(move |ioloop| {
            ioloop.traced::<F, _>(Origin::Callback, None, || callback(ioloop)).into_outcome()
        }))
    }
    // ANCHOR_END: add_callback

    /// Wake the loop: its sleep ends, or if it does not sleep, its next sleep ends at once. So it goes through an iteration, and
    /// looks at what it keeps once more. Any number of wakes before that are one.
    ///
    /// # Errors
    /// What the kernel answers to the wake.
    pub fn wake(&self) -> Result<()> {
        self.0.wake()
    }

    /// Stop the loop: as [`IoLoop::stop`], from any thread.
    ///
    /// # Errors
    /// What the kernel answers to the wake.
    pub fn stop(&self) -> Result<()> {
        self.0.stop()
    }
}
