//! One iteration: the order of everything.
//!
//! Contract:
//! - what is queued when it begins is run, and what is added meanwhile waits for the next one;
//! - the timers that are due when it begins are run after the callbacks, in the order of their deadlines;
//! - then it sleeps: not at all with something queued, else until the nearest deadline, at most an hour;
//! - then every descriptor that is ready has its handler run, unless that was removed meanwhile;
//! - a stop, wherever it comes from, is obeyed before the sleep, and nowhere else.

use std::time::Duration;

use crate::{IoLoop, Origin, Result};

/// The longest sleep. A loop that wakes once an hour for nothing costs nothing.
const LONGEST: Duration = Duration::from_secs(3600);

/// Run one. False if the loop was stopped: it has not slept then.
///
/// # Errors
/// The poller's.
// ANCHOR: turn
pub(crate) fn turn(ioloop: &IoLoop) -> Result<bool> {
    let (callbacks, timers) = (ioloop.callbacks(), ioloop.timers());
    let queued = callbacks.len();
    let mut due = ioloop.take_due_buffer();
    timers.borrow_mut().collect(ioloop.time(), &mut due);

    callbacks.run(queued, |callback| ioloop.run(Origin::Callback, callback));
    for timer in due.drain(..) {
        // Cancelled by now, it carries nothing.
        let carried = timers.borrow_mut().take(timer);
        if let Some(callback) = carried {
            ioloop.run(Origin::Timer, callback);
        }
    }
    ioloop.give_due_buffer(due);

    // The deadline first, since dropping what was cancelled may take a while, and then a look at the clock.
    let nearest = timers.borrow_mut().nearest();
    let timeout = match nearest {
        _ if !callbacks.is_empty() => Duration::ZERO,
        Some(deadline) => deadline.saturating_sub(ioloop.time()).min(LONGEST),
        None => LONGEST,
    };
    if !ioloop.is_running() {
        return Ok(false);
    }
    let mut ready = ioloop.take_ready_buffer();
    ioloop.sleep(&mut ready, timeout)?;
    for ready in ready.drain(..) {
        ioloop.dispatch(ready);
    }
    ioloop.give_ready_buffer(ready);
    Ok(true)
}
// ANCHOR_END: turn
