//! Another right answer: counters instead of lazy adapters, the clock read once at the beginning, and the timeout from a chain
//! of options.

use std::iter;
use std::time::Duration;

use super::IoLoop;
use super::dispatch::dispatch;
use crate::{Origin, Result};

/// The longest sleep. A loop that wakes once an hour cannot sleep forever by mistake.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Run iterations until the loop is stopped.
///
/// # Errors
/// The poller's.
pub(super) fn run(ioloop: &IoLoop) -> Result<()> {
    let mut goes_on = !ioloop.0.should_stop();
    while goes_on {
        goes_on = turn(ioloop, LONGEST)?;
    }
    Ok(())
}

/// Run one iteration, with a sleep of at most `longest`. False if the loop was stopped before the sleep.
///
/// # Errors
/// The poller's.
pub(super) fn turn(ioloop: &IoLoop, longest: Duration) -> Result<bool> {
    let inner = &ioloop.0;
    let began = ioloop.time();
    inner.timers.borrow_mut().collect(move || began);
    let mut left = inner.callbacks.len();
    let batch = iter::from_fn(|| {
        left = left.checked_sub(1)?;
        inner.next_callback()
    });
    let mut record = ioloop.new_record();
    record.callbacks = ioloop.run_all(Origin::Callback, batch);
    let due = iter::repeat_with(|| inner.next_due()).map_while(|timer| timer);
    record.timers = ioloop.run_all(Origin::Timer, due);
    if inner.should_stop() {
        return Ok(false);
    }
    let nearest = inner.timers.borrow_mut().nearest();
    let now = ioloop.time();
    let left = nearest.map(|deadline| deadline.checked_sub(now).unwrap_or_default());
    let most = left.map_or(longest, |left| left.min(longest));
    record.timeout = if inner.callbacks.len() == 0 { most } else { Duration::ZERO };
    ioloop.wait(&mut record)?;
    for _ in 0..record.events {
        let Some(event) = inner.next_event() else { break };
        dispatch(ioloop, event);
    }
    ioloop.notify(record);
    Ok(true)
}
