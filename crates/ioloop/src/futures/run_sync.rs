//! Waiting for a future: running the loop until it is done.
//!
//! Contract: `run_sync` returns the result, or the reason why there is none. However it ends, its timer is removed and the
//! future is dropped. What the future started on the loop by other means, timers and callbacks, stays there.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::timers::TimerId;
use crate::{IoLoop, NoResult, TaskId};

impl IoLoop {
    /// Run the loop until this future is done, for `timeout` at most.
    ///
    /// # Errors
    /// [`NoResult`]; `EBUSY` in it if the loop runs already.
    // ANCHOR: run_sync
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let end: Rc<Cell<Option<Result<T, NoResult>>>> = Rc::default();
        let over = {
            let (end, ioloop) = (Rc::clone(&end), self.clone());
            move |came_to| {
                // The first to come says what it ended with.
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
        let leftovers = Leftovers { ioloop: self, task, timer };
        let ran = self.start();
        drop(leftovers);
        ran?;
        end.take().unwrap_or(Err(NoResult::Stopped))
    }
    // ANCHOR_END: run_sync
}

// ANCHOR: leftovers
/// Takes a task and its timer off the loop when it is dropped, also when a panic unwinds.
struct Leftovers<'a> {
    ioloop: &'a IoLoop,
    task: TaskId,
    timer: Option<TimerId>,
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.ioloop.remove_timeout(timer);
        }
        self.ioloop.cancel(self.task);
    }
}
// ANCHOR_END: leftovers
