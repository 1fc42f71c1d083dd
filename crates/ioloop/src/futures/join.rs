//! A task whose result can be waited for.
//!
//! Contract: whoever awaits the handle gets the result, or the reason why there is none, once. A handle that is dropped leaves
//! the task alone. A panic of the task is reported by the loop, as any panic on it, and ends the wait as well.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::run_loop::WeakLoop;
use crate::{IoLoop, TaskId};

/// A task whose result can be waited for: a future of it.
pub struct JoinHandle<T> {
    shared: Rc<RefCell<Shared<T>>>,
    ioloop: WeakLoop,
    task: TaskId,
}

struct Shared<T> {
    /// Nothing as long as the task is not done, and after it was taken.
    end: Option<Result<T, JoinError>>,
    waiting: Option<Waker>,
}

/// Why a task has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinError {
    /// It was canceled, or the loop was closed.
    Canceled,
    /// It panicked. The panic was reported, as any panic on the loop.
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
    /// Run a future to its end, as [`IoLoop::spawn`] does, and hand its result to whoever awaits the handle.
    pub fn spawn_joined<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let shared = Rc::new(RefCell::new(Shared { end: None, waiting: None }));
        let end = End(Rc::clone(&shared));
        // However the task goes, `end` goes with it.
        let task = self.spawn(async move {
            let mut future = pin!(future);
            let result = poll_fn(|context| {
                let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
                polled.unwrap_or_else(|thrown| {
                    end.set(Err(JoinError::Panicked));
                    // On to where every panic on the loop is reported.
                    resume_unwind(thrown)
                })
            });
            end.set(Ok(result.await));
        });
        JoinHandle { shared, ioloop: self.downgrade(), task }
    }
}

/// The task's end of it.
struct End<T>(Rc<RefCell<Shared<T>>>);

impl<T> End<T> {
    /// The first word counts.
    fn set(&self, end: Result<T, JoinError>) {
        let mut shared = self.0.borrow_mut();
        if shared.end.is_none() {
            shared.end = Some(end);
        }
        let waiting = shared.waiting.take();
        // Not under the borrow: a waker runs code of others.
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
    /// Which task.
    pub fn id(&self) -> TaskId {
        self.task
    }

    /// Is there a result, or a reason why there is none?
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().end.is_some()
    }

    /// Cancel the task, if it is not done.
    pub fn cancel(&self) {
        if let Some(ioloop) = self.ioloop.upgrade() {
            ioloop.cancel(self.task);
        }
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
        // Not under the borrow: what it holds may call this.
        drop(shared);
        drop(replaced);
        Poll::Pending
    }
}
