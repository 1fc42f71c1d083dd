//! What other threads have of a loop: they can give it a callback, and stop it.
//!
//! Contract: nothing here waits for the loop. A callback is in the queue before the loop is woken, and any number of
//! them that come before it looks are one wake. After the loop is closed, all of it does nothing.

use std::sync::Arc;

use waker::eventfd;

use crate::{IoLoop, Outcome, Reply, Result, shared};

/// A callback that may come from another thread.
pub(crate) type Sent = Box<dyn FnOnce(&IoLoop) -> Outcome + Send>;

/// What the loop and its handles share.
pub(crate) type Shared = shared::Shared<Sent, eventfd::Waker>;

/// A loop, as other threads have it; clones are one. It does not keep the loop alive.
#[derive(Debug, Clone)]
pub struct LoopHandle(pub(crate) Arc<Shared>);

impl LoopHandle {
    /// Have the loop run this in its next iteration, and wake it if it sleeps.
    ///
    /// # Errors
    /// What the kernel answers to the wake. The callback is queued all the same.
    // ANCHOR: add_callback
    pub fn add_callback<R: Reply>(&self, callback: impl FnOnce(&IoLoop) -> R + Send + 'static) -> Result<()> {
        // In the loop's own thread it is awake, and needs no system call.
        if let Some(here) = IoLoop::current().filter(|here| here.is(self)) {
            here.add_callback(callback);
            return Ok(());
        }
        self.0.send(Box::new(move |ioloop| callback(ioloop).outcome()))
    }
    // ANCHOR_END: add_callback

    /// Stop the loop: as [`IoLoop::stop`], from any thread. Before it has started, its next start comes back at once.
    ///
    /// # Errors
    /// What the kernel answers to the wake.
    pub fn stop(&self) -> Result<()> {
        self.0.stop()
    }
}
