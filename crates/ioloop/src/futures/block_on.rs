//! Waiting for a future on a thread that has nothing else to do. No loop is needed.
//!
//! Contract: the future is polled once, and then once after one or more wakes, until it is ready. In between, the thread is
//! parked. No wake is lost: not one that comes during a poll, not one that comes before the thread parks, and not one
//! whose unpark the future has used up itself. A wake after the return does nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{AtomicBool, Ordering, thread};

/// Run a future on this thread until it is ready, and return its output. The thread sleeps while the future waits, so
/// something else must wake it, for example another thread.
// ANCHOR: block_on
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&parked));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !parked.woken.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}
// ANCHOR_END: block_on

/// What a waker shares with the thread that it wakes.
// ANCHOR: wake
struct Parked {
    thread: thread::Thread,
    /// Was there a wake since the last poll began?
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        // First the flag: a thread that is unparked and finds it clear parks again. A swap, because a store would replace
        // that of another thread, and the poll would not see what that thread did before its wake.
        self.woken.swap(true, Ordering::AcqRel);
        self.thread.unpark();
    }
}
// ANCHOR_END: wake
