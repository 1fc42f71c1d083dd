//! Handles for other threads: a handle can queue a callback, wake the loop, and stop it.
//!
//! Contract: no call here waits for the loop. A callback is in the queue before the loop is woken, and any number of
//! wakes before the loop looks at the queue are one wake. After the loop is closed, a callback is dropped when it is
//! sent, and a wake or a stop may still write to the eventfd, without an effect.

use std::fmt;
use std::sync::Arc;

use super::{IoLoop, Sent};
use crate::loop_waker::LoopWaker;
use crate::shared::Shared;
use crate::{IntoOutcome, Origin, Result};

/// A handle to a loop, for other threads: it can queue a callback, wake the loop, and stop it. It is Send and Sync, can
/// be cloned, and does not keep the loop alive.
#[derive(Clone)]
pub struct LoopHandle(pub(super) Arc<Shared<Sent, LoopWaker>>);

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoopHandle").field(&self.0).finish()
    }
}

impl IoLoop {
    /// A handle to this loop, for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle(Arc::clone(&self.0.shared))
    }

    /// Does `handle` belong to this loop?
    pub fn is(&self, handle: &LoopHandle) -> bool {
        Arc::ptr_eq(&self.0.shared, &handle.0)
    }
}

impl LoopHandle {
    /// Queue a callback for the loop's next iteration, and wake the loop if it sleeps.
    ///
    /// # Errors
    /// The errors of write(2) on the waker's eventfd. The callback is queued even then.
    // ANCHOR: add_callback
    pub fn add_callback<F, R>(&self, callback: F) -> Result<()>
    where
        F: FnOnce(&IoLoop) -> R + Send + 'static,
        R: IntoOutcome,
    {
        // The thread's current loop is awake: no lock, no wake, no system call. Another loop of this thread gets the
        // callback in the way that a loop of another thread does.
        if let Some(here) = IoLoop::current().filter(|here| here.is(self)) {
            here.add_callback(callback);
            return Ok(());
        }
        self.0.send(Box::new(move |ioloop| {
            ioloop.traced::<F, _>(Origin::Callback, None, || callback(ioloop)).into_outcome()
        }))
    }
    // ANCHOR_END: add_callback

    /// Wake the loop: end its current sleep, or make its next one return at once. Wakes that come before the loop looks
    /// are merged into one.
    ///
    /// # Errors
    /// The errors of write(2) on the waker's eventfd.
    pub fn wake(&self) -> Result<()> {
        self.0.wake()
    }

    /// Stop the loop from any thread, as [`IoLoop::stop`] does, and wake it.
    ///
    /// # Errors
    /// The errors of write(2) on the waker's eventfd. The flag is set even then: the loop obeys it once its sleep
    /// has ended by itself.
    pub fn stop(&self) -> Result<()> {
        self.0.stop()
    }
}
