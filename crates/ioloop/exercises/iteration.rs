//! Exercise `ioloop/iteration`: one turn of the loop, and turns until it is stopped.
//!
//! Goal: callbacks, timers, the sleep, handlers, in this order. What is queued and who is due is settled when the turn
//! begins; what is added later waits for the next one, and what is cancelled before its turn does not run. It sleeps
//! until the nearest deadline, an hour at most, and not at all with something queued. A stop is obeyed before the sleep,
//! and nowhere else, but for one that came before the first turn. Whoever subscribed is told what was done.
//!
//! What there is: `take` of `ioloop.0.callbacks`; `collect`, `take` and `nearest` of `ioloop.0.timers`. The loop itself
//! has `run_all`, which runs callbacks or timers, and reports what goes wrong under the `Origin` that it is given;
//! `is_running`, which says whether nobody stopped the loop, and takes the stop; `wait`, which sleeps; and `dispatch`,
//! which runs the handler of what is ready. (That is `ioloop.dispatch`. The function in src/dispatch.rs is a part of
//! it.) `arm` and `disarm` stand around the code of others: whoever blocks the loop is watched. `has_subscriber` and
//! `tell` are for a `crate::trace::Iteration`. `ioloop.0.due` and `ioloop.0.ready` lend room from turn to turn.
//! Run `cargo run -p workbook check ioloop/iteration` after each change; `hint ioloop/iteration` if you are stuck.

use crate::{IoLoop, Result};

/// Turn after turn, until it is stopped.
///
/// # Errors
/// The poller's.
pub(crate) fn run(ioloop: &IoLoop) -> Result<()> {
    todo!("have {ioloop:?} turn until it is stopped: write `run` in exercises/iteration.rs")
}

/// Run one. False if the loop was stopped: it has not slept then.
///
/// # Errors
/// The poller's.
pub(crate) fn turn(ioloop: &IoLoop) -> Result<bool> {
    todo!("do once what {ioloop:?} does again and again: write `turn` in exercises/iteration.rs")
}
