//! Another right answer: iterators by hand, a function for the timeout, and a record that is filled in at the end.

use std::iter;
use std::time::Duration;

use super::dispatch::dispatch;
use super::{Callback, IoLoop};
use crate::{Origin, Result};

/// The longest sleep. A loop that wakes once an hour cannot sleep forever by mistake.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// Run iterations until the loop is stopped.
///
/// # Errors
/// The poller's.
pub(super) fn run(ioloop: &IoLoop) -> Result<()> {
    if ioloop.0.should_stop() {
        return Ok(());
    }
    loop {
        match turn(ioloop, LONGEST) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

struct Queued<'a> {
    ioloop: &'a IoLoop,
    left: usize,
}

impl Iterator for Queued<'_> {
    type Item = Callback;

    fn next(&mut self) -> Option<Callback> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        self.ioloop.0.next_callback()
    }
}

struct Due<'a>(&'a IoLoop);

impl Iterator for Due<'_> {
    type Item = Callback;

    fn next(&mut self) -> Option<Callback> {
        self.0.0.next_due()
    }
}

fn timeout(ioloop: &IoLoop, longest: Duration) -> Duration {
    if !ioloop.0.callbacks.is_empty() {
        return Duration::ZERO;
    }
    let Some(deadline) = ioloop.0.timers.borrow_mut().nearest() else { return longest };
    longest.min(deadline.saturating_sub(ioloop.time()))
}

/// Run one iteration, with a sleep of at most `longest`. False if the loop was stopped before the sleep.
///
/// # Errors
/// The poller's.
pub(super) fn turn(ioloop: &IoLoop, longest: Duration) -> Result<bool> {
    let callbacks = Queued { ioloop, left: ioloop.0.callbacks.len() };
    let mut record = ioloop.new_record();
    ioloop.0.timers.borrow_mut().collect(|| ioloop.time());
    let ran = ioloop.run_all(Origin::Callback, callbacks);
    let timers = ioloop.run_all(Origin::Timer, Due(ioloop));
    if ioloop.0.should_stop() {
        return Ok(false);
    }
    (record.callbacks, record.timers) = (ran, timers);
    record.timeout = timeout(ioloop, longest);
    ioloop.wait(&mut record)?;
    iter::from_fn(|| ioloop.0.next_event()).for_each(|event| dispatch(ioloop, event));
    ioloop.notify(record);
    Ok(true)
}
