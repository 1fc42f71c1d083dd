//! Mistake: a poll is queued, and then the flag says so.
//! Caught by: a_wake_is_not_lost_when_the_loop_is_faster_than_whoever_wakes_it
//! Message: Whatever says that a poll is queued is to be said first

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::tasks::TaskId;
use crate::timers::TimerId;
use crate::{IoLoop, LoopHandle, NoResult, Outcome, Token};

/// What wakes one task. It is Send and Sync, and may outlive the task, and the loop.
pub(crate) struct TaskWaker {
    ioloop: LoopHandle,
    task: Token,
    /// Is a callback that polls the task in the queue?
    queued: AtomicBool,
}

impl TaskWaker {
    pub(crate) fn new(ioloop: LoopHandle, task: Token) -> Self {
        Self { ioloop, task, queued: AtomicBool::new(false) }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.load(Ordering::Acquire) {
            let task = self.task;
            let _ = self.ioloop.add_callback(move |ioloop| ioloop.poll_task(task));
            self.queued.store(true, Ordering::Release);
        }
    }
}

impl IoLoop {
    /// Poll it once, if it is still there. What it comes to is the callback's outcome.
    pub(crate) fn poll_task(&self, task: Token) -> Outcome {
        // Out of its place, so that no borrow lasts as long as the poll.
        let taken =
            self.0.tasks.borrow_mut().get_mut(task).map(|task| (task.future.take(), task.waker.clone()));
        let Some((Some(mut future), Some(waker))) = taken else { return Ok(()) };
        // Before the poll: a wake during it is for the next one. And a swap, as in the waker of chapter 4: what was done
        // before a wake that found the flag set is seen by this poll.
        waker.queued.swap(false, Ordering::AcqRel);
        let gone = Gone { ioloop: self, task: TaskId(task), timer: None };
        match future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                mem::forget(gone);
                let homeless = match self.0.tasks.borrow_mut().get_mut(task) {
                    Some(place) => place.future.replace(future),
                    // It was cancelled from inside.
                    None => Some(future),
                };
                drop(homeless);
                Ok(())
            }
        }
    }

    /// Run the loop until this future has come to its end, for so long at most.
    ///
    /// # Errors
    /// [`NoResult`]; `EBUSY` in it if the loop runs already.
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let end: Rc<Cell<Option<Result<T, NoResult>>>> = Rc::default();
        let over = {
            let (end, ioloop) = (Rc::clone(&end), self.clone());
            move |came_to| {
                // Whoever is first says what it came to.
                end.set(Some(end.take().unwrap_or(came_to)));
                ioloop.stop();
            }
        };
        let late = over.clone();
        let mut future = Box::pin(future);
        let task = self.spawn(poll_fn(move |context| {
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => over(Ok(result)),
                Err(thrown) => {
                    over(Err(NoResult::Panicked));
                    // On to where every panic on the loop is reported.
                    resume_unwind(thrown);
                }
            }
            Poll::Ready(())
        }));
        let timer = timeout.map(|time| self.call_later(time, move |_| late(Err(NoResult::Timeout(time)))));
        let gone = Gone { ioloop: self, task, timer };
        let ran = self.start();
        drop(gone);
        ran?;
        end.take().unwrap_or(Err(NoResult::Stopped))
    }
}

/// Takes a task and its timer off the loop when it is dropped: also on the way out of a panic.
struct Gone<'a> {
    ioloop: &'a IoLoop,
    task: TaskId,
    timer: Option<TimerId>,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.ioloop.remove_timeout(timer);
        }
        self.ioloop.cancel(self.task);
    }
}
