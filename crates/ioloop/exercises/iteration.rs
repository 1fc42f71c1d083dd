//! Exercise `ioloop/iteration`: one iteration of the loop, and iterations until the loop is stopped.
//!
//! Goal: callbacks, timers, the sleep, handlers, in this order. An iteration runs the callbacks that are queued and the
//! timers that are due when it begins, all of them. A callback or a timer that is added later waits for the next iteration,
//! and a timer that is canceled before it runs does not run. A callback may close the loop, which drops the others: that is
//! no failure. The loop sleeps until the nearest deadline, for at most `longest`, and not at all while a callback is queued.
//! An iteration checks for a stop once, before the sleep. `run` also checks before the first iteration. After the handlers of
//! all events, an iteration passes a record of what it did to the subscribers; one that a stop cut short passes none. An
//! error of the poller is returned at once. An iteration allocates nothing, however many events there are.
//!
//! Given: `ioloop.0.callbacks`, with `len` and `is_empty`; `ioloop.0.timers`, in a RefCell, with `collect` and
//! `nearest`. In src/run_loop.rs: `next_callback`, `next_due` and `next_event`, which hand out one at a time, and
//! `should_stop`, which clears the stop that it reports. `run_all` runs an iterator of callbacks or timers, reports
//! failures under the `crate::Origin` that it is given (`Origin::Callback` or `Origin::Timer`), and returns how many ran.
//! `new_record` makes the record, an `Iteration`; `wait` sleeps for the record's `timeout`, and fills in the times and the
//! number of events; `notify` passes the record to the subscribers, whose code the watchdog watches like a handler's.
//! `super::dispatch::dispatch` runs the handler of an event. Run `cargo workbook check ioloop/iteration` after each change;
//! `hint ioloop/iteration` if you are stuck.

use std::time::Duration;

use super::IoLoop;
use crate::Result;

/// The longest sleep. A loop that wakes once an hour cannot sleep forever by mistake.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Run iterations until the loop is stopped.
///
/// # Errors
/// The poller's.
pub(super) fn run(ioloop: &IoLoop) -> Result<()> {
    todo!("run iterations until {ioloop:?} is stopped: write `run` in exercises/iteration.rs")
}

/// Run one iteration, with a sleep of at most `longest`. False if the loop was stopped before the sleep.
///
/// # Errors
/// The poller's.
pub(super) fn turn(ioloop: &IoLoop, longest: Duration) -> Result<bool> {
    let _ = longest;
    todo!("run one iteration of {ioloop:?}: write `turn` in exercises/iteration.rs")
}
