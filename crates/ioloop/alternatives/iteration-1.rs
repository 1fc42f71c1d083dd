//! Another way for `ioloop/iteration`: the timers are collected before the callbacks run, and iterators of closures count what is left.

use std::time::Duration;

use std::iter;

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
    {
        let mut timers = inner.timers.borrow_mut();
        timers.collect(move || began);
    }
    let mut left = inner.callbacks.len();
    let batch = iter::from_fn(|| {
        left = left.checked_sub(1)?;
        inner.next_callback()
    });
    let mut record = ioloop.account();
    record.callbacks = ioloop.run_all(Origin::Callback, batch);
    let due = iter::repeat_with(|| inner.next_due()).map_while(|timer| timer);
    record.timers = ioloop.run_all(Origin::Timer, due);
    if inner.should_stop() {
        return Ok(false);
    }
    let nearest = inner.timers.borrow_mut().nearest();
    let now = ioloop.time();
    let sleep = nearest.map_or(longest, |deadline| deadline.checked_sub(now).unwrap_or(Duration::ZERO));
    record.timeout = if inner.callbacks.len() > 0 {
        Duration::ZERO
    } else if sleep < longest {
        sleep
    } else {
        longest
    };
    ioloop.wait(&mut record)?;
    for _ in 0..record.events {
        let Some(event) = inner.next_event() else { break };
        dispatch(ioloop, event);
    }
    ioloop.notify(record);
    Ok(true)
}
