//! Another right answer: the flag is set from the beginning, so one loop decides between a poll and a park.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{AtomicBool, Ordering, thread};

struct Signal {
    polls_next: AtomicBool,
    owner: thread::Thread,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // An unpark for each change is enough, because the thread parks only after it has found the flag clear.
        if !self.polls_next.swap(true, Ordering::SeqCst) {
            self.owner.unpark();
        }
    }
}

/// Run a future on this thread until it is ready, and return its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal { polls_next: AtomicBool::new(true), owner: thread::current() });
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    let mut future = Box::pin(future);
    loop {
        if signal.polls_next.swap(false, Ordering::SeqCst) {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return output,
                Poll::Pending => {}
            }
        } else {
            thread::park();
        }
    }
}
