//! A future of a result that another thread computes.
//!
//! Contract: the thread starts at once, and the future is ready when the result is there, whether it was polled before or
//! not. Dropping the future does not end the thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::{io, thread};

/// A future of what a thread returns.
// ANCHOR: from_thread
pub struct FromThread<T>(Arc<Mutex<Shared<T>>>);

struct Shared<T> {
    result: Option<T>,
    waiting: Option<Waker>,
}

impl<T> Future for FromThread<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                shared.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
// ANCHOR_END: from_thread

/// Runs `work` in a thread.
///
/// # Errors
/// `EAGAIN` if the process may have no more threads: see pthread_create(3).
// ANCHOR: in_thread
pub fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<FromThread<T>> {
    let shared = Arc::new(Mutex::new(Shared { result: None, waiting: None }));
    let future = FromThread(Arc::clone(&shared));
    thread::Builder::new().spawn(move || {
        let result = work();
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.result = Some(result);
        let waiting = shared.waiting.take();
        drop(shared); // Before the wake: the other thread may poll at once.
        if let Some(waker) = waiting {
            waker.wake();
        }
    })?;
    Ok(future)
}
// ANCHOR_END: in_thread
