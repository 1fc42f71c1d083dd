//! Exercise `prefork/supervise`: restart children that fail, and stop all of them with their parent.
//!
//! Goal: each child has a task, which is a number, and its replacement gets the same one. A child that exits with 0 is
//! not restarted. A child that fails or is killed is restarted, until `max_restarts` restarts have been used; the next
//! failure is an error. A child that fails at once is restarted after a pause, which grows each time. SIGTERM and
//! SIGINT are forwarded to the children, and from then on no child is restarted; children that are still running after
//! the grace period, or at the second signal, are killed. No child outlives its parent, even if SIGKILL kills the
//! parent. The supervisor waits only for its own children. A child has none of the descriptors that the supervisor has
//! opened.
//!
//! You have `crate::fork::fork`; `Child`, which can be polled, signaled and waited for; `Signals`; and
//! `crate::policy::after` for a time in the future.
//! Run `cargo workbook check supervise` after each change; `hint supervise` if you are stuck.

use crate::{Ended, Event, Failed, Policy};

/// The task of this process, counted from 0. `None` in a process that no supervisor forked.
pub fn task() -> Option<usize> {
    todo!("return the task of this process: write `task` in exercises/supervise.rs")
}

/// Fork the children, restart those that fail, and return when the last one has exited. Each child calls `work` with
/// its task and exits with the code that `work` returns; 0 means success. `on_event` gets each [`Event`].
///
/// While it runs, SIGTERM and SIGINT are blocked in the calling thread, which must be the only one.
///
/// # Errors
/// [`Failed::TooManyRestarts`]; `EBUSY` in a child of a supervisor; and the errors of `fork`.
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    on_event: impl FnMut(Event),
) -> Result<Ended, Failed> {
    let _ = (work, on_event, crate::policy::after);
    todo!("fork {} children and supervise them: write `supervise` in exercises/supervise.rs", policy.children)
}
