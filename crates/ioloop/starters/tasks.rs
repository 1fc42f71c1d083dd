//! Exercise `ioloop/tasks`: futures that the loop polls, each until it is done.
//!
//! Goal: after any number of wakes, from any thread, the loop polls the task once, in its next iteration. A wake never
//! polls by itself, and a wake during a poll leads to the next poll. A task may spawn and cancel tasks while it is
//! polled, including itself. A task that is done, has panicked or was canceled is dropped, and its slot in the table is
//! free. A value of the task may panic when it is dropped after a poll: that is reported, too, after the task's own failure.
//!
//! Given: `LoopHandle::add_callback`, from any thread; `TaskCell::new(state, future)`, one allocation for what the wakers share
//! and for the future, which returns an `Arc` of the one and a `TaskFuture`, the owner of the other; `Traced::new`, which
//! makes a future's result an outcome; `ioloop.0.tasks`, a `Slab` of `Option<TaskFuture>`, in a RefCell;
//! `ioloop.must_be_open`, an error for a closed loop; `crate::failure::guarded`, which catches a panic, and `drop_caught`, which
//! catches one of a drop; `ioloop.report`, for a `Failure` with `Origin::Task`.
//! Run `cargo workbook check ioloop/tasks` after each change; `hint ioloop/tasks` if you are stuck.

use std::future::Future;

use super::IoLoop;
use crate::{IntoOutcome, Token};

/// Identifies a task, for [`IoLoop::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

impl IoLoop {
    /// Spawn a task: poll `future` on the loop until it is done. The loop reports an error that it returns. A closed loop
    /// drops it.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        drop(future);
        todo!("keep the future, and wake it for the first time: write `spawn` in exercises/tasks.rs")
    }

    /// Cancel a task: drop its future wherever it waits. Does nothing if the task is done or was canceled already.
    pub fn cancel(&self, task: TaskId) {
        todo!("drop the future of {task:?}: write `cancel` in exercises/tasks.rs")
    }
}
