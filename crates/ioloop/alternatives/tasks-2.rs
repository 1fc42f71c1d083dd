//! Another right answer: a lock for the flag, and the report before the drop.

use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::IoLoop;
use super::current::Entered;
use super::handle::LoopHandle;
use super::sync::Mutex;
use super::tracing::Traced;
use crate::failure::{drop_caught, guarded};
use crate::task_cell::{TaskCell, TaskFuture};
use crate::{Cause, Failure, IntoOutcome, Origin, Outcome, Token};

/// Identifies a task, for [`IoLoop::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

struct Shared {
    handle: LoopHandle,
    token: Token,
    queued: Mutex<bool>,
}

impl Shared {
    /// Set the flag to this, and return what it was.
    fn set(&self, now: bool) -> bool {
        mem::replace(&mut *self.queued.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl<F: Future<Output = Outcome> + 'static> Wake for TaskCell<Shared, F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.set(true) {
            return;
        }
        let cell = Arc::clone(self);
        let _ = self.handle.add_callback(move |ioloop| {
            cell.set(false);
            let token = cell.token;
            ioloop.poll_task(token, &Waker::from(cell));
        });
    }
}

impl IoLoop {
    fn poll_task(&self, token: Token, waker: &Waker) {
        let slot = match self.0.tasks.borrow_mut().get_mut(token) {
            Some(slot) => mem::take(slot),
            None => return,
        };
        let Some(mut future) = slot else { return };
        let mut pending = false;
        let outcome = guarded(|| match pin!(&mut future).poll(&mut Context::from_waker(waker)) {
            Poll::Pending => {
                pending = true;
                Ok(())
            }
            Poll::Ready(outcome) => outcome,
        });
        if pending {
            let not_wanted = self.put_back(token, future);
            return self.report_if(drop_caught(not_wanted));
        }
        let slot = self.0.tasks.borrow_mut().remove(token);
        drop(slot);
        self.report_if(outcome);
        self.report_if(drop_caught(future));
    }

    fn report_if(&self, outcome: Result<(), Cause>) {
        if let Err(cause) = outcome {
            self.report(Failure { origin: Origin::Task, cause });
        }
    }

    fn put_back(&self, token: Token, future: TaskFuture) -> Option<TaskFuture> {
        match self.0.tasks.borrow_mut().get_mut(token) {
            Some(slot) => slot.replace(future),
            None => Some(future),
        }
    }

    /// Spawn a task.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let token = self.0.tasks.borrow_mut().insert(None);
        let shared = Shared { handle: self.handle(), token, queued: Mutex::new(false) };
        let (cell, future) = TaskCell::new(shared, Traced::new(self, future));
        let none = self.put_back(token, future);
        drop(none);
        if self.must_be_open("spawn").is_err() {
            self.cancel(TaskId(token));
        } else {
            let _entered = Entered::new(self);
            cell.wake();
        }
        TaskId(token)
    }

    /// Cancel a task.
    pub fn cancel(&self, task: TaskId) {
        let future = { self.0.tasks.borrow_mut().remove(task.0) };
        drop(future);
    }
}
