//! Join handles: a task's result as a future.
//!
//! Contract: awaiting the handle returns the result of the task, or the reason why there is none, once. Dropping the handle
//! does not cancel the task. If the task panics, the loop reports the panic, and the wait ends with [`JoinError::Panicked`].

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::run_loop::WeakLoop;
use crate::{IoLoop, TaskId};

/// A future of a task's result. Dropping it does not cancel the task.
pub struct JoinHandle<T> {
    shared: Rc<RefCell<Shared<T>>>,
    ioloop: WeakLoop,
    task: TaskId,
}

struct Shared<T> {
    /// `None` until the task is done, and after the result was taken.
    end: Option<Result<T, JoinError>>,
    waiting: Option<Waker>,
}

/// Why a task has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinError {
    /// The task was canceled, or the loop was closed.
    Canceled,
    /// The task panicked. The loop has reported the panic.
    Panicked,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Canceled => "the task was canceled",
            Self::Panicked => "the task panicked",
        })
    }
}

impl std::error::Error for JoinError {}

impl IoLoop {
    /// Spawn a task, as [`IoLoop::spawn`] does, and return a handle whose `await` returns the task's result.
    pub fn spawn_joined<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let shared = Rc::new(RefCell::new(Shared { end: None, waiting: None }));
        let end = End(Rc::clone(&shared));
        let mut future = Box::pin(future);
        // The task owns `end`, so `end` is dropped with it, even if the task is canceled. No async block: while a panic unwinds,
        // it would drop the future, and a second panic would abort the process.
        let task = self.spawn(poll_fn(move |context| {
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => end.set(Ok(result)),
                Err(thrown) => {
                    end.set(Err(JoinError::Panicked));
                    // The loop catches it, and reports it like any other panic.
                    resume_unwind(thrown);
                }
            }
            Poll::Ready(())
        }));
        JoinHandle { shared, ioloop: self.downgrade(), task }
    }
}

/// The task's side: sets the result, and wakes the handle. Dropping it without a result means that the task was canceled.
struct End<T>(Rc<RefCell<Shared<T>>>);

impl<T> End<T> {
    /// Set the result, unless there is one, and wake the handle.
    fn set(&self, end: Result<T, JoinError>) {
        let mut shared = self.0.borrow_mut();
        if shared.end.is_none() {
            shared.end = Some(end);
        }
        let waiting = shared.waiting.take();
        // Not under the borrow: a waker runs code that may use the handle.
        drop(shared);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.set(Err(JoinError::Canceled));
    }
}

impl<T> JoinHandle<T> {
    /// The id of the task.
    pub fn id(&self) -> TaskId {
        self.task
    }

    /// Is the task over? True until the result is taken.
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().end.is_some()
    }

    /// Cancel the task. Does nothing if it is done.
    pub fn cancel(&self) {
        if let Some(ioloop) = self.ioloop.upgrade() {
            ioloop.cancel(self.task);
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let waiting = self.shared.borrow_mut().waiting.take();
        // Not under the borrow, as above.
        drop(waiting);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        if let Some(end) = shared.end.take() {
            return Poll::Ready(end);
        }
        let replaced = shared.waiting.replace(context.waker().clone());
        // Not under the borrow: dropping the old waker may use the handle.
        drop(shared);
        drop(replaced);
        Poll::Pending
    }
}
