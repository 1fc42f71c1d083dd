//! Another way for `ioloop/block_on`: the flag is cleared just before each poll, so a wake during the poll sets it again.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{AtomicBool, Ordering, thread};

struct Sleeper {
    thread: thread::Thread,
    asleep: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.asleep.fetch_and(false, Ordering::AcqRel);
        self.thread.unpark();
    }
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let sleeper = Arc::new(Sleeper { thread: thread::current(), asleep: AtomicBool::new(false) });
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    loop {
        sleeper.asleep.swap(true, Ordering::AcqRel);
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            // A read-modify-write, which sees the latest wake.
            Poll::Pending => {
                while sleeper.asleep.fetch_or(false, Ordering::AcqRel) {
                    thread::park();
                }
            }
        }
    }
}
