//! The state that a loop shares with its handles in other threads: sent callbacks, the stop flag, and the waker.
//!
//! Contract: a sender first queues its callback or sets the stop flag, and then wakes the loop. The loop first consumes
//! the wake, and then looks. So once a `send` has returned Ok, the loop cannot sleep over its callback, and a stop ends
//! the sleep. The loop receives each callback once. No call waits for the loop. Closing drops the queued callbacks, and
//! later ones are dropped when they are sent.
//!
//! On epoll the waker is edge-triggered: the wait takes the edge, so consuming it makes no system call. The order
//! stays: wait, clear the waker's pending flag (`coalesced` of the crate `waker`), look. A wake before the clear is seen by
//! this look; a wake after it writes again, which is a new edge. If a thread sets the pending flag before the clear and
//! writes after it, the loop wakes once more and finds nothing.

use std::sync::PoisonError;
use std::{fmt, mem};

use super::sync::{AtomicBool, Coalesced, Mutex, MutexGuard, Ordering};
use super::{Result, Wake};

/// The state that a loop and its handles share.
// ANCHOR: shared
pub(crate) struct Shared<T, W> {
    inbox: Mutex<Inbox<T>>,
    stop: AtomicBool,
    waker: Coalesced<W>,
}

struct Inbox<T> {
    sent: Vec<T>,
    /// Guarded by the same lock as `sent`, so an item is either queued before `close` drains the inbox, or dropped.
    closed: bool,
}
// ANCHOR_END: shared

impl<T, W> fmt::Debug for Shared<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inbox = self.lock();
        write!(f, "{} sent, closed: {}", inbox.sent.len(), inbox.closed)
    }
}

impl<T, W: Wake> Shared<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        let inbox = Mutex::new(Inbox { sent: Vec::new(), closed: false });
        Self { inbox, stop: AtomicBool::new(false), waker: Coalesced::new(waker) }
    }

    pub(crate) fn waker(&self) -> &Coalesced<W> {
        &self.waker
    }

    /// Queue `what`, and wake the loop. After the close, drop it instead.
    ///
    /// # Errors
    /// The errors of the waker. It is queued even then.
    // ANCHOR: send
    pub(crate) fn send(&self, what: T) -> Result<()> {
        {
            let mut inbox = self.lock();
            if inbox.closed {
                drop(inbox);
                // Not under the lock: dropping `what` may call `send`, which takes the lock.
                drop(what);
                return Ok(());
            }
            inbox.sent.push(what);
        }
        // After the push, so that the loop finds it; outside the lock, so that the loop does not wait for it.
        self.waker.wake()
    }

    /// Consume the wake, and then call `each` with every callback that was sent. `each` runs under the lock, so it must
    /// not drop or run its argument.
    ///
    /// # Errors
    /// The errors of the waker, if it fails twice. `each` gets what was sent even then.
    pub(crate) fn receive(&self, mut each: impl FnMut(T)) -> Result<()> {
        let mut look = || self.lock().sent.drain(..).for_each(&mut each);
        let first = self.waker.consume_then(&mut look);
        // If the waker failed, try it once more: after a second failure, the loop removes the waker's handler for good.
        let received = first.or_else(|_| self.waker.consume_then(&mut look));
        received.inspect_err(|_| look())
    }
    // ANCHOR_END: send

    /// Wake the loop without giving it work.
    ///
    /// # Errors
    /// The errors of the waker.
    pub(crate) fn wake(&self) -> Result<()> {
        self.waker.wake()
    }

    /// Set the stop flag, and wake the loop.
    ///
    /// # Errors
    /// The errors of the waker. The flag is set even then.
    pub(crate) fn stop(&self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake()
    }

    /// Set the stop flag without a wake, for the loop's own thread.
    pub(crate) fn set_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Clear the stop flag. True if it was set.
    pub(crate) fn take_stop(&self) -> bool {
        // Usually not set, and a load, unlike a swap, does not take exclusive ownership of the cache line.
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }

    /// Is the inbox closed?
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Close the inbox, and return everything in it. Nothing is dropped here, because dropping a callback may send another,
    /// which takes the lock.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut inbox = self.lock();
        inbox.closed = true;
        mem::take(&mut inbox.sent)
    }
}

impl<T, W> Shared<T, W> {
    fn lock(&self) -> MutexGuard<'_, Inbox<T>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
