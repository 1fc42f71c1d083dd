//! Mistake: callbacks are called, and what becomes of them is ignored.
//! Caught by: what_goes_wrong_in_one_is_reported_and_the_next_one_runs
//! Message: and has taken the loop along: `run_all` catches that

use std::time::Duration;

use crate::looping::Inner;
use crate::trace::Iteration;
use crate::{IoLoop, Origin, Result};

/// The longest sleep: a loop that wakes once an hour cannot sleep for ever by mistake.
const LONGEST: Duration = Duration::from_secs(3600);

/// Turn after turn, until it is stopped.
///
/// # Errors
/// The poller's.
pub(crate) fn run(ioloop: &IoLoop) -> Result<()> {
    // A stop may have come before the start. The first turn would run what is queued before it looks.
    if !ioloop.is_running() {
        return Ok(());
    }
    while turn(ioloop)? {}
    Ok(())
}

/// Run one. False if the loop was stopped: it has not slept then.
///
/// # Errors
/// The poller's.
pub(crate) fn turn(ioloop: &IoLoop) -> Result<bool> {
    let Inner { callbacks, timers, .. } = &*ioloop.0;
    ioloop.arm();
    let began = ioloop.time();
    let mut due = ioloop.0.due.take();
    let queued = {
        // Given back before the timers run.
        let mut batch = callbacks.take();
        timers.borrow_mut().collect(began, &mut due);
        let queued = batch.len();
        batch.drain().for_each(|callback| drop(callback(ioloop)));
        queued
    };
    let mut fired = 0;
    // Cancelled by now, a timer carries nothing. It is taken in its turn: whoever runs before it may cancel it.
    let carried = due.drain(..).filter_map(|timer| timers.borrow_mut().take(timer));
    ioloop.run_all(Origin::Timer, carried.inspect(|_| fired += 1));
    ioloop.0.due.set(due);

    let nearest = timers.borrow_mut().nearest();
    let asked = match nearest {
        _ if !callbacks.is_empty() => Duration::ZERO,
        Some(deadline) => deadline.saturating_sub(ioloop.time()).min(LONGEST),
        None => LONGEST,
    };
    ioloop.disarm();
    if !ioloop.is_running() {
        return Ok(false);
    }
    // Who looks at the clock when nobody wants to know pays for it.
    let traced = ioloop.has_subscriber();
    let asleep = if traced { ioloop.time() } else { began };
    let mut ready = ioloop.0.ready.take();
    ioloop.wait(&mut ready, asked)?;
    let awake = if traced { ioloop.time() } else { began };
    let events = ready.len();
    ioloop.arm();
    for ready in ready.drain(..) {
        ioloop.dispatch(ready);
    }
    ioloop.0.ready.set(ready);
    if traced {
        ioloop.tell(Iteration { began, callbacks: queued, timers: fired, asked, asleep, awake, events });
    }
    ioloop.disarm();
    Ok(true)
}
