//! `run_sync`: run the loop until a future is done.
//!
//! Contract: `run_sync` returns the result of the future, or the reason why there is none. In either case it removes its
//! timer and drops the future. If a value of the future panics then, that is reported as a failure of the task. Timers and
//! callbacks that the future added to the loop stay there.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::failure::{drop_caught, guarded};
use crate::timers::TimerId;
use crate::{Failure, IoLoop, NoResult, Origin, TaskId};

/// The outcome, from the moment when there is one.
type End<T> = Rc<Cell<Option<Result<T, NoResult>>>>;

impl IoLoop {
    /// Run the loop until `future` is done, for at most `timeout`.
    ///
    /// # Errors
    /// [`NoResult`] has the reason; for a loop that runs already, it is [`NoResult::Loop`] with `EBUSY`.
    // ANCHOR: run_sync
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let end: End<T> = Rc::default();
        let over = {
            let (end, ioloop) = (Rc::clone(&end), self.clone());
            move |came_to| {
                // The first outcome of an iteration counts, for example the result before the timeout.
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
                    // The loop catches it, and reports it like any other panic.
                    resume_unwind(thrown);
                }
            }
            Poll::Ready(())
        }));
        let timer = timeout.map(|time| self.call_later(time, move |_| late(Err(NoResult::Timeout(time)))));
        let mut leftovers = Leftovers { ioloop: self, task, timer, end: Rc::clone(&end), unwinds: true };
        let ran = self.start();
        leftovers.unwinds = false;
        drop(leftovers);
        ran?;
        end.take().unwrap_or(Err(NoResult::Stopped))
    }
    // ANCHOR_END: run_sync
}

// ANCHOR: leftovers
/// Cancels a task and its timer when it is dropped, even if a panic unwinds.
struct Leftovers<'a, T> {
    ioloop: &'a IoLoop,
    task: TaskId,
    timer: Option<TimerId>,
    end: End<T>,
    /// Does a panic come out of `start`? `thread::panicking` cannot say: the caller may be a drop while another one unwinds.
    unwinds: bool,
}

impl<T> Drop for Leftovers<'_, T> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.ioloop.remove_timeout(timer);
        }
        let canceled = guarded(|| {
            self.ioloop.cancel(self.task);
            Ok(())
        });
        if self.unwinds {
            // A second panic beside the one that unwinds would abort the process. What was thrown is forgotten, because its
            // drop may panic, too.
            mem::forget((canceled, drop_caught(self.end.take())));
        } else if let Err(cause) = canceled {
            self.ioloop.report(Failure { origin: Origin::Task, cause });
        }
    }
}
// ANCHOR_END: leftovers
