//! Tasks: futures that the loop polls, each until it is done.
//!
//! Contract:
//! - each spawned task is polled once. After that, any number of wakes, from any thread, cause one poll in the next
//!   iteration, which sees what the waking threads did before their wakes. A wake during a poll causes another one. `wake`
//!   itself never polls;
//! - nothing is borrowed while a task is polled, so a task may spawn and cancel tasks, including itself;
//! - a task is dropped as soon as it is done, has panicked or was canceled. If a value of the task panics when it is dropped
//!   after a poll, that is reported, too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::handle::LoopHandle;
use super::sync::{AtomicBool, Ordering};
use super::tracing::Traced;
use super::{IoLoop, current};
use crate::failure::{drop_caught, guarded};
use crate::task_cell::TaskCell;
use crate::{Failure, IntoOutcome, Origin, Token};

/// Identifies a task, for [`IoLoop::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

/// What the wakers of a task share. They are Send and Sync, and may outlive the task and the loop.
// ANCHOR: waker
struct TaskState {
    ioloop: LoopHandle,
    task: TaskId,
    /// Is a callback that polls the task in the queue?
    queued: AtomicBool,
}

impl<F: 'static> Wake for TaskCell<TaskState, F> {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let ioloop = self.ioloop.clone();
        // In the loop's own thread this only queues. In another thread it also wakes the loop. An error means that the
        // loop's eventfd is gone, so nothing can be polled anyway.
        let _ = ioloop.add_callback(move |ioloop| {
            // Cleared before the poll, so that a wake during the poll queues another one. A swap and no store: a thread
            // whose wake finds the flag set queues nothing, and only a read of the flag makes this poll see what that
            // thread did before.
            self.queued.swap(false, Ordering::AcqRel);
            ioloop.poll_task(self.task, &Waker::from(self));
        });
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If a poll is queued already, no clone is needed. `fetch_or(false)` in place of a load, because it also
        // writes: the callback's swap reads what it wrote, so the poll sees what this thread did before.
        if !self.queued.fetch_or(false, Ordering::AcqRel) {
            Arc::clone(self).wake();
        }
    }
}
// ANCHOR_END: waker

impl IoLoop {
    // ANCHOR: spawn
    /// Spawn a task: poll `future` on the loop until it is done. The loop reports an error that it returns. A closed loop
    /// drops it.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let task = TaskId(self.0.tasks.borrow_mut().insert(None));
        let state = TaskState { ioloop: self.handle(), task, queued: AtomicBool::new(false) };
        let (cell, future) = TaskCell::new(state, Traced::new(self, future));
        if let Some(slot) = self.0.tasks.borrow_mut().get_mut(task.0) {
            *slot = Some(future);
        }
        // Current meanwhile: otherwise the first poll would be sent like a callback of another thread, and come after the
        // first sleep.
        let entered = current::Entered::new(self);
        cell.wake();
        drop(entered);
        if self.must_be_open("spawn").is_err() {
            self.cancel(task);
        }
        task
    }
    // ANCHOR_END: spawn

    /// Cancel a task: drop its future, at whatever `await` it is suspended. Does nothing if the task is done or was
    /// canceled already.
    pub fn cancel(&self, task: TaskId) {
        let removed = self.0.tasks.borrow_mut().remove(task.0);
        // Not under the borrow: the future's values may cancel another task when they are dropped.
        drop(removed);
    }

    // ANCHOR: poll_task
    /// Poll a task once, if it was not canceled, and report an error or a panic.
    fn poll_task(&self, task: TaskId, waker: &Waker) {
        // Out of the table, so that the table is not borrowed while the future is polled.
        let taken = self.0.tasks.borrow_mut().get_mut(task.0).and_then(Option::take);
        let Some(mut future) = taken else { return };
        let polled = guarded(|| match Pin::new(&mut future).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(outcome) => outcome.map(|()| Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        });
        // If the task canceled itself, its slot is gone, and the future is dropped below.
        if let Ok(Poll::Pending) = polled
            && let Some(slot) = self.0.tasks.borrow_mut().get_mut(task.0)
        {
            *slot = Some(future);
            return;
        }
        self.cancel(task);
        let dropped = drop_caught(future);
        if let Err(cause) = polled {
            self.report(Failure { origin: Origin::Task, cause });
        }
        if let Err(cause) = dropped {
            self.report(Failure { origin: Origin::Task, cause });
        }
    }
    // ANCHOR_END: poll_task
}
