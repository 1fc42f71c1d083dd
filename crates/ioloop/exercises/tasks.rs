//! Exercise `ioloop/tasks`: futures that the loop polls, each until it is done.
//!
//! Goal: a wake, from any thread, makes the loop poll its task in the next iteration: once, however many wakes there were, and
//! never inside of the wake. A wake during the poll is for the next poll. A task may spawn and cancel tasks while it is polled,
//! itself too. A task that is done, panicked or was canceled is dropped, and its slot in the table is free.
//!
//! What there is: `LoopHandle::add_callback`, from any thread; `ioloop.0.tasks`, a `Slab` of `Option<Pin<Box<dyn Future>>>`, in
//! a RefCell; `ioloop.must_be_open`, an error for a loop that is closed; `crate::failure::guarded`, which catches a panic;
//! `ioloop.report`, for a `Failure` with `Origin::Task`.
//! Run `cargo run -p workbook check ioloop/tasks` after each change; `hint ioloop/tasks` if you are stuck.

use std::future::Future;

use super::IoLoop;
use crate::{IntoOutcome, Token};

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

impl IoLoop {
    /// Run a future to its end. An error that it ends with is reported. A closed loop forgets it.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        drop(future);
        todo!("keep the future, and wake it for the first time: write `spawn` in exercises/tasks.rs")
    }

    /// Drop a task where it stands. One that is done is no error.
    pub fn cancel(&self, task: TaskId) {
        todo!("drop {task:?}: write `cancel` in exercises/tasks.rs")
    }
}
