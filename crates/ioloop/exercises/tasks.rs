//! Exercise `ioloop/tasks`: futures that the loop polls, each until it is done.
//!
//! Goal: after any number of wakes, from any thread, the loop polls the task once, in its next iteration, and the poll sees
//! what each thread did before its wake. `spawn` wakes the task for the first time, even if the loop is not current. A wake
//! never polls by itself, and in the loop's own thread it makes no system call. A wake during a poll leads to the next poll.
//! A task may spawn and cancel tasks while it is polled, including itself. A task that is done, has failed or panicked, or
//! was canceled is dropped, and its slot in the table is free. An error or a panic is reported once, even if the task has
//! canceled itself or closed the loop. A value of the task may panic when it is dropped after a poll: that is reported, too,
//! after the task's own failure. If it panics when `cancel` drops it, the panic reaches the caller of `cancel`. Nothing is
//! borrowed while a future is dropped or a failure is reported. A closed loop drops what is spawned and keeps no slot: the id
//! that `spawn` returns leads to nothing.
//!
//! Given: `super::handle::LoopHandle`, of `ioloop.handle()`, whose `add_callback` may be called in any thread and queues even
//! if it returns an error, and `super::current::Entered::new(&ioloop)`, which makes a loop current while it exists: the
//! handle sends to a loop that is not current as from another thread; `crate::task_cell::TaskCell`, whose `new(state,
//! future)` makes one allocation of what the wakers share and of the future, and returns an `Arc` of the one and a
//! `TaskFuture`, the owner of the other; `super::tracing::Traced::new(&ioloop, future)`, which makes a future's result an
//! outcome; `ioloop.0.tasks`, a `Slab` of `Option<TaskFuture>`, in a RefCell, where `None` is a slot whose future is being
//! polled or is not stored yet; `ioloop.must_be_open`, an error for a closed loop; `crate::failure::guarded`, which catches a
//! panic, and `drop_caught`, which catches one of a drop; `ioloop.report`, for a `Failure` with `Origin::Task`.
//!
//! One test runs your code in every order of the threads' steps, in a model of a loop that has only what is given here. For
//! that it needs the atomics or the lock of `super::sync`, which has std's in the crate and loom's in the model.
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
