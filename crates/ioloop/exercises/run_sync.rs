//! Exercise `ioloop/run_sync`: futures on the loop, and a function that waits for one.
//!
//! Goal: a wake, from any thread, has the loop poll its task in the next turn: once, however many wakes there were, and
//! never inside of the wake. A wake during the poll is for another one. A task may spawn and cancel while it is polled,
//! also cancel itself; one that has ended or panicked is gone. `run_sync` runs the loop until a future has come to its
//! end, and comes back with its result, or with the reason why there is none; it leaves no timer, no task and no stop
//! behind, however it ends.
//!
//! What there is: `LoopHandle::add_callback`, from any thread; `ioloop.0.tasks`, the table of tasks, each a `future` and
//! its `waker`, which `spawn` puts in and wakes once, and `cancel` takes out; `call_later` and `remove_timeout`, `start`
//! and `stop`. What a callback comes to, an error or a panic, is reported by the loop.
//! Run `cargo run -p workbook check ioloop/run_sync` after each change; `hint ioloop/run_sync` if you are stuck.

use std::future::Future;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use crate::{IoLoop, LoopHandle, NoResult, Outcome, Token};

/// What wakes one task. It is Send and Sync, and may outlive the task, and the loop. What must it keep?
pub(crate) struct TaskWaker {
    /// Here only so that this compiles.
    _ioloop: LoopHandle,
}

impl TaskWaker {
    pub(crate) fn new(ioloop: LoopHandle, task: Token) -> Self {
        let _ = task;
        Self { _ioloop: ioloop }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        todo!("have the loop poll the task, once for all wakes: write `wake` in exercises/run_sync.rs")
    }
}

impl IoLoop {
    /// Poll it once, if it is still there. What it comes to is the callback's outcome.
    pub(crate) fn poll_task(&self, task: Token) -> Outcome {
        todo!("poll {task:?}, and keep it if it is not over: write `poll_task` in exercises/run_sync.rs")
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
        let _ = (future, timeout);
        todo!("run the loop until the future is over, or its time: write `run_sync` in exercises/run_sync.rs")
    }
}
