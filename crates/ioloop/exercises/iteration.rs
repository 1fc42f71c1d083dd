//! Exercise `ioloop/iteration`: one iteration of the loop, and iterations until the loop is stopped.
//!
//! Goal: callbacks, timers, the sleep, handlers, in this order. Which callbacks run and which timers are due is settled when
//! the iteration begins; what is added later waits for the next one, and a timer that is canceled before it runs does not run.
//! The loop sleeps until the nearest deadline, for `longest` at most, and not at all while a callback is queued. A stop is
//! obeyed before the sleep and nowhere else, except for a stop that came before the first iteration. Each iteration ends with
//! an account of what it did.
//!
//! What there is: `ioloop.0.callbacks`, with `len` and `is_empty`; `ioloop.0.timers`, in a RefCell, with `collect` and
//! `nearest`; and in src/run_loop.rs, `next_callback`, `next_due` and `next_event`, which hand out one at a time, and
//! `take_stop`. `run_all` runs callbacks or timers, reports what goes wrong under the `Origin` that it is given, and returns
//! how many ran. `account` begins the account, an `Iteration`; `wait` sleeps for the account's `timeout`; `notify` hands the
//! account to the subscribers. `dispatch` runs the handler of an event.
//! Run `cargo run -p workbook check ioloop/iteration` after each change; `hint ioloop/iteration` if you are stuck.

use std::time::Duration;

use super::IoLoop;
use crate::Result;

/// The longest sleep: a loop that wakes once an hour cannot sleep forever by mistake.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Iterate until the loop is stopped.
///
/// # Errors
/// The poller's.
pub(super) fn run(ioloop: &IoLoop) -> Result<()> {
    todo!("iterate until {ioloop:?} is stopped: write `run` in exercises/iteration.rs")
}

/// One iteration, with a sleep of `longest` at most. False if the loop was stopped: it has not slept then.
///
/// # Errors
/// The poller's.
pub(super) fn turn(ioloop: &IoLoop, longest: Duration) -> Result<bool> {
    let _ = longest;
    todo!("do once what {ioloop:?} does again and again: write `turn` in exercises/iteration.rs")
}
