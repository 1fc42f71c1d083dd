//! Blocking work in a thread of its own, and its result on the loop.
//!
//! Contract: the work begins when it is given, in a new thread, and its result wakes the task that waits for it. If the work
//! panics, so does the poll that would have had the result. A wait that is dropped does not end the work, since nothing ends a
//! thread from outside: it goes on, and its result is dropped in its thread. While work is under way the process has one more
//! thread, and does not fork.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::{Error, IoLoop, Result};

/// Work in another thread: a future of its result.
pub struct Offloaded<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    /// Nothing as long as the work is under way, and after it was taken.
    end: Option<thread::Result<T>>,
    waiting: Option<Waker>,
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IoLoop {
    /// Do this in a thread of its own: it may block. Any task may wait for the result, and the loop goes on meanwhile.
    ///
    /// # Errors
    /// `EAGAIN` of pthread_create(3): too many threads.
    pub fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Offloaded<T>> {
        let state = Arc::new(Mutex::new(State { end: None, waiting: None }));
        let ours = Arc::clone(&state);
        let thread = move || {
            let end = catch_unwind(AssertUnwindSafe(work));
            let waiting = {
                let mut state = locked(&ours);
                state.end = Some(end);
                state.waiting.take()
            };
            // Without the lock, and with the result there: the loop may poll at once.
            drop(ours);
            if let Some(waker) = waiting {
                waker.wake();
            }
        };
        let spawned = thread::Builder::new().name("offload".into()).spawn(thread);
        // Detached: it ends by itself.
        drop(spawned.map_err(Error::on_io("pthread_create", "a thread for blocking work"))?);
        Ok(Offloaded(state))
    }
}

impl<T> Future for Offloaded<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = locked(&self.0);
        let Some(end) = state.end.take() else {
            let replaced = state.waiting.replace(context.waker().clone());
            drop(state);
            drop(replaced);
            return Poll::Pending;
        };
        drop(state);
        Poll::Ready(end.unwrap_or_else(|thrown| resume_unwind(thrown)))
    }
}
