//! Exercise `prefork/supervise`: restart children that fail, and stop all of them with their parent.
//!
//! Goal: each child has a task, which is a number, and its replacement gets the same one. A child that exits with 0 is
//! not restarted. A child that fails or is killed is restarted, until `max_restarts` restarts of all children together
//! have been used. One failure more stops the others as SIGTERM would, and is an error at the end. A child that fails
//! before `min_uptime` is restarted after `pause`, then twice the last pause of its task, at most `max_pause`; one that
//! ran longer is restarted without a pause, and its task begins again with `pause`.
//!
//! The first SIGTERM or SIGINT is forwarded to the children and is the result at the end. From then on no child is
//! restarted, no exit is a failure, and no other outcome replaces the first; at a signal while it is stopping already,
//! or after the grace period, the children that are left are killed, once. Read the signals again after each child is reaped,
//! before its exit is judged. No child outlives its parent, even if SIGKILL kills the parent, if the parent died before
//! the child could ask for a signal, or if the child has changed its user or closed every descriptor (not both); and
//! none is left after an error or a panic of `on_event`. A parent outside of the child's PID namespace has the id 0 and
//! lives. If a fork fails, no other child is forked, and those that run are stopped as SIGTERM would. What the supervisor has
//! opened for a child is closed when the child was reaped. A child starts with an empty signal mask,
//! and has only its lifeline of the descriptors that the supervisor has opened; in it, `supervise` is `EBUSY`. The
//! supervisor waits only for its own children, sleeps in one call that EINTR does not end, does not wake up without a
//! reason, and signals no process by its pid. The caller's signal mask and descriptors are restored.
//!
//! You have `crate::fork::fork`; `Child`, which can be polled, signaled and waited for; `Signals`; `Lifeline`, with
//! which a child dies with its parent; and `crate::policy::after` for a time in the future.
//! Run `cargo workbook check supervise` after each change; `hint supervise` if you are stuck.

use crate::{Ended, Event, Failed, Policy};

/// The task of this process, counted from 0. A process that a child forks inherits it. `None` in any other process.
pub fn task() -> Option<usize> {
    todo!("return the task of this process: write `task` in exercises/supervise.rs")
}

/// Fork the children, restart those that fail, and return when the last one has exited. Each child calls `work` with
/// its task and exits with the code that `work` returns; 0 means success. `on_event` gets each [`Event`].
///
/// While it runs, SIGTERM and SIGINT are blocked in the calling thread, which must be the only one.
///
/// # Errors
/// [`Failed::TooManyRestarts`]; `EBUSY` in a child of a supervisor; the errors of `fork`, and of the call that sleeps;
/// `ECHILD` if other code has reaped a child; and the error of a SIGKILL that fails, without an `Event::Killed`.
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    on_event: impl FnMut(Event),
) -> Result<Ended, Failed> {
    let _ = (work, on_event, crate::policy::after);
    todo!("fork {} children and supervise them: write `supervise` in exercises/supervise.rs", policy.children)
}
