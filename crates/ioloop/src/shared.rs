//! What a loop and its handles in other threads share: what was sent, whether it was stopped, and the waker.
//!
//! Contract: what is sent or said is there before the loop is woken, and the loop consumes the wake before it looks. So
//! nothing that was sent lies there while the loop sleeps, and a stop ends its sleep. Each is taken once. Nothing waits
//! for the loop. After the close nothing is taken in, and what lay there is dropped.
//!
//! A waker whose edge the poller has reported has nothing to drain, and the order stays: the wait takes the edge, the flag is
//! cleared, the loop looks. A wake before the clear is seen by the look; one after it writes, which is the next edge. A
//! thread that set the flag before the clear and writes after it makes one edge too many, for which the loop looks in vain.

use std::sync::PoisonError;
use std::{fmt, mem};

use super::sync::{AtomicBool, Coalesced, Mutex, MutexGuard, Ordering};
use super::{Result, Wake};

/// What is shared.
// ANCHOR: shared
pub(crate) struct Shared<T, W> {
    queue: Mutex<Queue<T>>,
    stop: AtomicBool,
    waker: Coalesced<W>,
}

struct Queue<T> {
    sent: Vec<T>,
    /// Under the same lock: whoever found it open has queued before the close takes what there is.
    closed: bool,
}
// ANCHOR_END: shared

impl<T, W> fmt::Debug for Shared<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.lock();
        write!(f, "{} sent, closed: {}", queue.sent.len(), queue.closed)
    }
}

impl<T, W: Wake> Shared<T, W> {
    pub(crate) fn new(waker: W) -> Self {
        let queue = Mutex::new(Queue { sent: Vec::new(), closed: false });
        Self { queue, stop: AtomicBool::new(false), waker: Coalesced::new(waker) }
    }

    pub(crate) fn waker(&self) -> &Coalesced<W> {
        &self.waker
    }

    /// Queue something, and wake the loop.
    ///
    /// # Errors
    /// The waker's. It is queued all the same.
    // ANCHOR: send
    pub(crate) fn send(&self, what: T) -> Result<()> {
        {
            let mut queue = self.lock();
            if queue.closed {
                drop(queue);
                // Not under the lock: what it holds may send.
                drop(what);
                return Ok(());
            }
            queue.sent.push(what);
        }
        // After the push, and outside of the lock: whoever is woken takes it at once.
        self.waker.wake()
    }

    /// Consume the wake, and then hand out what was sent. `each` is called under the lock: it may only move it elsewhere.
    pub(crate) fn receive(&self, each: impl FnMut(T)) -> Result<()> {
        self.waker.consume_then(|| self.lock().sent.drain(..).for_each(each))
    }
    // ANCHOR_END: send

    /// Wake the loop, which finds nothing new.
    ///
    /// # Errors
    /// The waker's.
    pub(crate) fn wake(&self) -> Result<()> {
        self.waker.wake()
    }

    /// Say that the loop is to stop, and wake it.
    ///
    /// # Errors
    /// The waker's. It is said all the same.
    pub(crate) fn stop(&self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake()
    }

    /// The same in the loop's own thread, which is awake.
    pub(crate) fn set_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Was it stopped since the last time that somebody asked?
    pub(crate) fn take_stop(&self) -> bool {
        // Most of the time it was not, and a load leaves the line where it is.
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }

    /// Is nothing taken in any more?
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Take nothing more in, and forget what was sent.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        // Dropping a callback may send another.
        let sent = mem::take(&mut queue.sent);
        drop(queue);
        drop(sent);
    }
}

impl<T, W> Shared<T, W> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
