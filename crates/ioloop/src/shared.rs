//! The state that a loop shares with its handles in other threads: sent callbacks, the stop flag, and the waker.
//!
//! Contract: a sender first queues its callback or sets the stop flag, and then wakes the loop. The loop first consumes
//! the wake, and then looks. So once a `send` has returned Ok, the loop cannot sleep over its callback, and a stop ends
//! the sleep. The loop receives each callback once. No call waits for the loop. Closing drops the queued callbacks, and
//! later ones are dropped when they are sent.
//!
//! An edge-triggered waker has nothing to drain, and the order is the same: the wait takes the edge, the loop clears the
//! flag, the loop looks at the queue. If a thread wakes before the clear, the loop finds its callback; if it wakes after the
//! clear, it writes, which is the next edge. A thread that sets the flag before the clear and writes after it makes one edge
//! too many, for which the loop looks at an empty queue.

use std::sync::PoisonError;
use std::{fmt, mem};

use super::sync::{AtomicBool, Coalesced, Mutex, MutexGuard, Ordering};
use super::{Result, Wake};

/// The shared state.
// ANCHOR: shared
pub(crate) struct Shared<T, W> {
    inbox: Mutex<Inbox<T>>,
    stop: AtomicBool,
    waker: Coalesced<W>,
}

struct Inbox<T> {
    sent: Vec<T>,
    /// Under the same lock, so that a sender that found the queue open has pushed before `close` takes the queue.
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

    /// Push to the queue, and wake the loop. After the close, drop it instead.
    ///
    /// # Errors
    /// The errors of the waker. It is queued even then.
    // ANCHOR: send
    pub(crate) fn send(&self, what: T) -> Result<()> {
        {
            let mut inbox = self.lock();
            if inbox.closed {
                drop(inbox);
                // Not under the lock: the values that it owns may send when they are dropped.
                drop(what);
                return Ok(());
            }
            inbox.sent.push(what);
        }
        // After the push, and outside of the lock, because the loop that is woken locks the queue at once.
        self.waker.wake()
    }

    /// Consume the wake, and then pass everything that was sent to `each`. It is called under the lock, so it may only
    /// move its argument elsewhere.
    ///
    /// # Errors
    /// The errors of the waker.
    pub(crate) fn receive(&self, each: impl FnMut(T)) -> Result<()> {
        self.waker.consume_then(|| self.lock().sent.drain(..).for_each(each))
    }
    // ANCHOR_END: send

    /// Wake the loop, and send nothing.
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

    /// Set the stop flag in the loop's own thread, where the loop is awake.
    pub(crate) fn set_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Clear the stop flag. True if it was set.
    pub(crate) fn take_stop(&self) -> bool {
        // Most of the time it is not set, and a load leaves the cache line shared.
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }

    /// Was it closed?
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Close the queue, and drop everything that was sent.
    pub(crate) fn close(&self) {
        let mut inbox = self.lock();
        inbox.closed = true;
        // Dropped outside of the lock: dropping a callback may send another.
        let sent = mem::take(&mut inbox.sent);
        drop(inbox);
        drop(sent);
    }
}

impl<T, W> Shared<T, W> {
    fn lock(&self) -> MutexGuard<'_, Inbox<T>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
