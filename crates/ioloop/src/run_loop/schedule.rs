//! Schedule: add and run callbacks, add, cancel and run timers.

use std::time::Duration;

use super::{Callback, IoLoop};
use crate::failure::guarded;
use crate::timers::TimerId;
use crate::{Failure, IntoOutcome, Origin};

impl IoLoop {
    /// Run a callback in the next iteration. A closed loop drops it without running it.
    pub fn add_callback<F: FnOnce(&Self) -> R + 'static, R: IntoOutcome>(&self, callback: F) {
        if !self.0.is_closed() {
            self.0.callbacks.push(move |ioloop: &Self| {
                ioloop.traced::<F, _>(Origin::Callback, None, || callback(ioloop)).into_outcome()
            });
        }
    }

    /// Start a timer: run `callback` at `deadline` by the loop's clock, or as soon after it as possible. A closed loop
    /// drops it without running it.
    pub fn call_at<F: FnOnce(&Self) -> R + 'static, R: IntoOutcome>(
        &self,
        deadline: Duration,
        callback: F,
    ) -> TimerId {
        let run = move |ioloop: &Self| {
            ioloop.traced::<F, _>(Origin::Timer, None, || callback(ioloop)).into_outcome()
        };
        let timer = self.0.timers.borrow_mut().add(deadline, Callback::new(run));
        if self.0.is_closed() {
            self.remove_timeout(timer);
        }
        timer
    }

    /// Start a timer: run `callback` after `delay`.
    pub fn call_later<R: IntoOutcome>(
        &self,
        delay: Duration,
        callback: impl FnOnce(&Self) -> R + 'static,
    ) -> TimerId {
        self.call_at(self.time().saturating_add(delay), callback)
    }

    /// Cancel a timer. Does nothing if it ran or was canceled already.
    pub fn remove_timeout(&self, timer: TimerId) {
        let carried = self.0.timers.borrow_mut().cancel(timer);
        // Dropped after the borrow has ended, because its destructor may cancel another timer.
        drop(carried);
    }

    /// Did every timer with this deadline run, unless it was canceled? Then `remove_timeout` would do nothing, and this is quicker.
    /// May return false even if it did, and does on a closed loop.
    pub(crate) fn is_past(&self, deadline: Duration) -> bool {
        !self.0.is_closed() && self.0.timers.borrow().is_past(deadline)
    }

    /// Run `callbacks` one after the other, and report each error and panic: the next callback runs in any case. Returns how
    /// many ran.
    // ANCHOR: run_all
    pub(super) fn run_all(&self, origin: Origin, callbacks: impl Iterator<Item = Callback>) -> usize {
        let mut ran = 0;
        let mut callbacks = callbacks.inspect(|_| ran += 1);
        // One `catch_unwind` covers many callbacks. After a failure, a new `catch_unwind` goes on with the next.
        while let Err(cause) = guarded(|| callbacks.try_for_each(|callback| callback.run(self))) {
            self.report(Failure { origin, cause });
        }
        drop(callbacks);
        ran
    }
    // ANCHOR_END: run_all
}
