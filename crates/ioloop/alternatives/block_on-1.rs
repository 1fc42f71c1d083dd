//! Another way for `ioloop/block_on`: the flag is cleared before each poll, and looked at after it. The waker is a trait
//! object of its own for each call, and a store of the flag is an exchange.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{AtomicBool, Ordering, thread};

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let signal = Arc::new(Signal(AtomicBool::new(true), thread::current()));
    let waker: Waker = signal.clone().into();
    let mut context = Context::from_waker(&waker);
    loop {
        if signal.0.compare_exchange(true, false, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            thread::park();
        } else if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Whether a poll is due, and the thread that polls.
struct Signal(AtomicBool, thread::Thread);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A thread that finds the flag set need not unpark: the one that set it does.
        if !self.0.swap(true, Ordering::SeqCst) {
            self.1.unpark();
        }
    }
}
