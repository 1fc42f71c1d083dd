//! Tasks: futures that the loop polls, each until it is done.
//!
//! Contract:
//! - a task is polled once after it is spawned and once after any number of wakes, from any thread, in the loop's next
//!   iteration; a wake during the poll is for the next one. No wake polls by itself;
//! - while a task is polled nothing is borrowed, so it may spawn and cancel tasks, itself too;
//! - a task is dropped as soon as it is done, panicked or was canceled.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::IoLoop;
use super::handle::LoopHandle;
use super::tracing::Traced;
use crate::failure::guarded;
use crate::{Failure, IntoOutcome, Origin, Token};

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

/// Wakes one task. It is Send and Sync, and may outlive the task and the loop.
// ANCHOR: waker
struct TaskWaker {
    ioloop: LoopHandle,
    task: TaskId,
    /// Is a callback that polls the task in the queue?
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let ioloop = self.ioloop.clone();
        // From the loop's own thread this is a push, from another one a push and a wake. A loop that cannot be woken lost
        // its descriptor: it will not poll anything again.
        let _ = ioloop.add_callback(move |ioloop| {
            // Before the poll: a wake during it is for the next one. A swap: what was done before a wake that found the
            // flag set is seen by this poll.
            self.queued.swap(false, Ordering::AcqRel);
            ioloop.poll_task(self.task, &Waker::from(self));
        });
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A wake while one is pending is one atomic operation, and no clone. It writes what it finds, so that the poll sees
        // what was done before this wake, too.
        if !self.queued.fetch_or(false, Ordering::AcqRel) {
            Arc::clone(self).wake();
        }
    }
}
// ANCHOR_END: waker

impl IoLoop {
    // ANCHOR: spawn
    /// Run a future to its end. An error that it ends with is reported. A closed loop forgets it.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let future = Box::pin(Traced::new(self, future));
        let task = TaskId(self.0.tasks.borrow_mut().insert(Some(future)));
        Arc::new(TaskWaker { ioloop: self.handle(), task, queued: AtomicBool::new(false) }).wake();
        if self.must_be_open("spawn").is_err() {
            self.cancel(task);
        }
        task
    }
    // ANCHOR_END: spawn

    /// Drop a task where it stands. One that is done is no error.
    pub fn cancel(&self, task: TaskId) {
        let removed = self.0.tasks.borrow_mut().remove(task.0);
        // Not under the borrow: what it holds may cancel another.
        drop(removed);
    }

    // ANCHOR: poll_task
    /// Poll it once, if it is still there, and report what goes wrong in it.
    fn poll_task(&self, task: TaskId, waker: &Waker) {
        // Out of the table, so that nothing is borrowed while it is polled.
        let taken = self.0.tasks.borrow_mut().get_mut(task.0).and_then(Option::take);
        let Some(mut future) = taken else { return };
        let polled = guarded(|| match future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(outcome) => outcome.map(|()| Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        });
        if let Ok(Poll::Pending) = polled {
            // Canceled from inside, it has no slot anymore and is dropped here.
            if let Some(slot) = self.0.tasks.borrow_mut().get_mut(task.0) {
                *slot = Some(future);
            }
            return;
        }
        self.cancel(task);
        drop(future);
        if let Err(cause) = polled {
            self.report(Failure { origin: Origin::Task, cause });
        }
    }
    // ANCHOR_END: poll_task
}
