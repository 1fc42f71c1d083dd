//! One iteration: callbacks, timers, the sleep, handlers, in this order.
//!
//! Contract:
//! - the callbacks that are queued when the iteration begins run; a callback that is added during the iteration waits
//!   for the next one;
//! - after them, the timers that are due when the iteration begins run, by deadline;
//! - then the loop sleeps until an event or the nearest deadline, an hour at most; if a callback is queued, it asks the
//!   poller without waiting;
//! - then the handler of each event that the poller returned runs, unless the handler was removed;
//! - an iteration checks for a stop, from any thread, once: before the sleep. `run` also checks before its first
//!   iteration, and returns without running anything if a stop came before that.

use std::iter;
use std::time::Duration;

use super::dispatch::dispatch;
use super::{Inner, IoLoop};
use crate::{Origin, Result};

/// The longest sleep. It bounds the damage of a lost wake-up: the loop looks again after an hour.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Run iterations until the loop is stopped.
///
/// # Errors
/// The poller's.
// ANCHOR: run
pub(super) fn run(ioloop: &IoLoop) -> Result<()> {
    // A stop may have come before the start.
    if !ioloop.0.should_stop() {
        while turn(ioloop, LONGEST)? {}
    }
    Ok(())
}
// ANCHOR_END: run

/// Run one iteration, with a sleep of at most `longest`. Returns false, without a sleep, if the loop was stopped or
/// closed.
///
/// # Errors
/// The poller's.
// A name in the stacks that a watchdog reports, in a release build too.
#[inline(never)]
// ANCHOR: turn
pub(super) fn turn(ioloop: &IoLoop, longest: Duration) -> Result<bool> {
    let inner @ Inner { callbacks, timers, .. } = &*ioloop.0;
    let mut record = ioloop.new_record();

    // Count and collect first, so that what is added from here on waits for the next iteration. `collect` reads the
    // clock only if there is a timer.
    let queued = callbacks.len();
    timers.borrow_mut().collect(|| ioloop.time());
    record.callbacks = ioloop.run_all(Origin::Callback, (0..queued).map_while(|_| inner.next_callback()));
    record.timers = ioloop.run_all(Origin::Timer, iter::from_fn(|| inner.next_due()));
    if inner.should_stop() {
        return Ok(false);
    }

    // After the callbacks and timers: they may have added work, and time has passed.
    let nearest = timers.borrow_mut().nearest();
    record.timeout = match nearest {
        _ if !callbacks.is_empty() => Duration::ZERO,
        Some(deadline) => deadline.saturating_sub(ioloop.time()).min(longest),
        None => longest,
    };
    ioloop.wait(&mut record)?;
    while let Some(event) = inner.next_event() {
        dispatch(ioloop, event);
    }
    ioloop.notify(record);
    Ok(true)
}
// ANCHOR_END: turn
