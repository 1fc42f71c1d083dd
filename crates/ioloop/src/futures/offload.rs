//! Blocking work in a thread of its own, with its result as a future.
//!
//! Contract: `offload` starts the work in a new thread, and the result wakes the task that waits for it. If the work panics,
//! the poll that would have returned the result panics too. Dropping the future does not end the work, because a thread
//! cannot be ended from outside: the thread goes on, and drops its result. While work is under way the process has one more
//! thread, and must not fork.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::clock::Awaited;
use crate::{Error, IoLoop, Result};

/// A future of the result of work in another thread. Dropping it does not end the work.
pub struct Offloaded<T> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    /// `None` while the work is under way, and after the result was taken.
    end: Option<thread::Result<T>>,
    waiting: Option<Waker>,
    /// A fake clock stands still until the result is here, or is not wanted any more.
    awaited: Option<Awaited>,
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IoLoop {
    /// Run `work`, which may block, in a new thread. Any task may await the result, and the loop goes on meanwhile.
    ///
    /// # Errors
    /// `EAGAIN` of pthread_create(3) if there are too many threads; `EBADF` if the loop is closed.
    pub fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Offloaded<T>> {
        self.must_be_open("offload")?;
        let state = Arc::new(Mutex::new(State { end: None, waiting: None, awaited: self.awaits() }));
        let (ours, ioloop) = (Arc::clone(&state), self.handle());
        let thread = move || {
            let end = catch_unwind(AssertUnwindSafe(work));
            let (waiting, awaited) = {
                let mut state = locked(&ours);
                state.end = Some(end);
                (state.waiting.take(), state.awaited.take())
            };
            // After the result is set, and without the lock: the loop may poll at once.
            drop(ours);
            if let Some(waker) = waiting {
                waker.wake();
            }
            // After the wake: the clock must not pass the timeout of a task whose result is here.
            if awaited.is_some() {
                drop(awaited);
                // The loop sleeps in real time, because its clock stood still. An error means that its eventfd is gone.
                let _ = ioloop.wake();
            }
        };
        let spawned = thread::Builder::new().name("offload".into()).spawn(thread);
        // Detached: the thread ends by itself.
        drop(spawned.map_err(Error::on_io("pthread_create", "a thread for blocking work"))?);
        Ok(Offloaded { state })
    }
}

impl<T> Drop for Offloaded<T> {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        let left = (state.waiting.take(), state.awaited.take());
        // Not under the lock: a waker runs code of the program when it is dropped.
        drop(state);
        drop(left);
    }
}

// ANCHOR: poll
impl<T> Future for Offloaded<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = locked(&self.state);
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
// ANCHOR_END: poll
