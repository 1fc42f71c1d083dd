//! Observers: the subscribers of each iteration, and the report of code that blocks the loop.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{IoLoop, Phase, Subscriber, Subscription};
use crate::alarm::Alarm;
use crate::failure::Owned;
use crate::watchdog::{Blocked, Watchdog};
use crate::{Iteration, Result};

impl IoLoop {
    /// Call `subscriber` at the end of each iteration that begins from now on, except one that a stop or an error of the poller cut
    /// short. Subscribers are called in the order in which they were added. If one panics, so does [`IoLoop::start`]. Without
    /// a subscriber, the loop reads no clock for this. A closed loop drops it.
    pub fn subscribe(&self, subscriber: impl FnMut(&Self, Iteration) + 'static) -> Subscription {
        let subscriber: Subscriber = Rc::new(RefCell::new(subscriber));
        let subscription = Subscription::Subscriber(self.0.subscribers.add(subscriber));
        if self.must_be_open("subscribe").is_err() {
            self.unsubscribe(subscription);
        }
        subscription
    }

    /// Remove a subscriber or a tracer. It may remove itself. Removing it twice does nothing.
    pub fn unsubscribe(&self, subscription: Subscription) {
        match subscription {
            Subscription::Subscriber(number) => self.0.subscribers.remove(number),
            Subscription::Tracer(number) => self.0.tracers.remove(number),
        }
    }

    /// Call `report`, in a thread of its own, when code keeps the loop from its next sleep for longer than `threshold`.
    /// The report has the stack of that code, while it still blocks. `None` ends the reports. Code that the loop runs may
    /// call this.
    ///
    /// While a threshold is set, the process has one more thread and must not fork, and each iteration makes two more system
    /// calls.
    ///
    /// # Errors
    /// `EBUSY` if another loop of this process is watched, or if a signal handler has SIGALRM; `EBADF` if the loop is closed;
    /// the errors of [`Watchdog::new`]. After an error no threshold is set, even if there was one before.
    pub fn set_blocking_threshold(
        &self,
        threshold: Option<Duration>,
        report: impl FnMut(&Blocked) + Send + 'static,
    ) -> Result<()> {
        // The old one first: a process has at most one watchdog.
        drop(self.0.watchdog.take());
        if let Some(threshold) = threshold {
            self.must_be_open("set_blocking_threshold")?;
            let alarm = Alarm::take("set_blocking_threshold")?;
            let mut report = Owned::new(report);
            let report = move |blocked: &Blocked| (report.get())(blocked);
            *self.0.watchdog.borrow_mut() = Some((Watchdog::new(threshold, report)?, alarm));
            if self.0.phase.get() == Phase::Running {
                self.watchdog_on();
            }
        }
        Ok(())
    }

    // ANCHOR: new_record
    /// The record of an iteration that begins. It has times only if there is a subscriber, because reading the clock is not
    /// free.
    pub(super) fn new_record(&self) -> Iteration {
        self.0.subscribers.begin();
        Iteration { start: self.time_for_subscribers(), ..Iteration::default() }
    }

    /// Notify the subscribers of an iteration that ended.
    pub(super) fn notify(&self, record: Iteration) {
        self.0.subscribers.for_each(|subscriber| (subscriber.borrow_mut())(self, record));
    }
    // ANCHOR_END: new_record

    /// The time, for the record of an iteration. Zero if there is no subscriber.
    pub(super) fn time_for_subscribers(&self) -> Duration {
        if self.0.subscribers.is_empty() { Duration::ZERO } else { self.time() }
    }
}
