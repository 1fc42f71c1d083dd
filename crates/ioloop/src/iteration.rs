//! One iteration: the order of everything.
//!
//! Contract:
//! - what is queued when it begins is run, and what is added meanwhile waits for the next one;
//! - the timers that are due when it begins are run after the callbacks, in the order of their deadlines;
//! - then it sleeps: not at all with something queued, else until the nearest deadline, at most an hour;
//! - then every descriptor that is ready has its handler run, unless that was removed meanwhile;
//! - a stop, wherever it comes from, is obeyed before the sleep, and nowhere else.

use std::time::Duration;

use crate::trace::Iteration;
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
    let began = ioloop.time();
    let queued = callbacks.len();
    let mut due = ioloop.take_due_buffer();
    timers.borrow_mut().collect(began, &mut due);

    callbacks.run(queued, |callback| ioloop.run(Origin::Callback, callback));
    let mut fired = 0;
    for timer in due.drain(..) {
        // Cancelled by now, it carries nothing.
        let carried = timers.borrow_mut().take(timer);
        if let Some(callback) = carried {
            fired += 1;
            ioloop.run(Origin::Timer, callback);
        }
    }
    ioloop.give_due_buffer(due);

    let nearest = timers.borrow_mut().nearest();
    let asked = match nearest {
        _ if !callbacks.is_empty() => Duration::ZERO,
        Some(deadline) => deadline.saturating_sub(ioloop.time()).min(LONGEST),
        None => LONGEST,
    };
    if !ioloop.is_running() {
        return Ok(false);
    }
    // Who looks at the clock when nobody wants to know pays for it.
    let traced = ioloop.has_subscriber();
    let asleep = if traced { ioloop.time() } else { began };
    let mut ready = ioloop.take_ready_buffer();
    ioloop.wait(&mut ready, asked)?;
    let awake = if traced { ioloop.time() } else { began };
    let events = ready.len();
    for ready in ready.drain(..) {
        ioloop.dispatch(ready);
    }
    ioloop.give_ready_buffer(ready);
    if traced {
        ioloop.tell(Iteration { began, callbacks: queued, timers: fired, asked, asleep, awake, events });
    }
    Ok(true)
}
// ANCHOR_END: turn
