//! What other threads have of a loop: they can give it a callback, and stop it.
//!
//! Contract: nothing here waits for the loop. A callback is in the queue before the loop is woken, and any number of
//! them that come before it looks are one wake. After the loop is closed, all of it does nothing.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use waker::coalesced::Coalesced;
use waker::eventfd;

use crate::{IoLoop, Outcome, Reply, Result};

/// A callback that may come from another thread.
pub(crate) type Sent = Box<dyn FnOnce(&IoLoop) -> Outcome + Send>;

/// What the loop and its handles share.
// ANCHOR: shared
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    stop: AtomicBool,
    waker: Coalesced<eventfd::Waker>,
}

#[derive(Default)]
struct Queue {
    sent: Vec<Sent>,
    closed: bool,
}
// ANCHOR_END: shared

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sent, closed: {}", self.sent.len(), self.closed)
    }
}

impl Shared {
    pub(crate) fn new() -> Result<Self> {
        let waker = Coalesced::new(eventfd::Waker::new()?);
        Ok(Self { queue: Mutex::default(), stop: AtomicBool::new(false), waker })
    }

    pub(crate) fn waker(&self) -> &Coalesced<eventfd::Waker> {
        &self.waker
    }

    /// Consume the wake, and then take what was sent. `into` is empty, and its room is the queue's from now on.
    pub(crate) fn receive(&self, into: &mut Vec<Sent>) -> Result<()> {
        self.waker.consume_then(|| mem::swap(&mut self.lock().sent, into))
    }

    /// Was it stopped since the last time that somebody asked?
    pub(crate) fn take_stop(&self) -> bool {
        // Most of the time it was not, and a load leaves the line where it is.
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        // Dropping a callback may send another.
        let sent = mem::take(&mut queue.sent);
        drop(queue);
        drop(sent);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        {
            let mut queue = self.0.lock();
            if queue.closed {
                return Ok(());
            }
            queue.sent.push(Box::new(move |ioloop| callback(ioloop).outcome()));
        }
        // After the push, and outside of the lock: whoever is woken takes it at once.
        self.0.waker.wake()
    }
    // ANCHOR_END: add_callback

    /// Stop the loop: as [`IoLoop::stop`], from any thread. Before it has started, its next start comes back at once.
    ///
    /// # Errors
    /// What the kernel answers to the wake.
    pub fn stop(&self) -> Result<()> {
        self.0.stop.store(true, Ordering::Release);
        self.0.waker.wake()
    }
}
