//! Callbacks and timers, as they are given to a loop, and running one.

use std::time::Duration;

use crate::failure::guarded;
use crate::once::Once;
use crate::timers::TimerId;
use crate::{Failure, IoLoop, Origin, Outcome, Reply};

/// What is queued. A queue is written and read from one end to the other, so what is short is fast: a box has two words.
pub(crate) type Callback = Box<dyn FnOnce(&IoLoop) -> Outcome>;

/// What a timer carries. Most timers are cancelled before they run: in place, that frees nothing.
pub(crate) type Timed = Once;

/// What can be run once.
pub(crate) trait Run {
    fn run(self, ioloop: &IoLoop) -> Outcome;
}

impl Run for Callback {
    fn run(self, ioloop: &IoLoop) -> Outcome {
        self(ioloop)
    }
}

impl Run for Timed {
    fn run(self, ioloop: &IoLoop) -> Outcome {
        self.run(ioloop)
    }
}

impl IoLoop {
    /// Run this in the next iteration. Closed, the loop forgets it.
    pub fn add_callback<R: Reply>(&self, callback: impl FnOnce(&Self) -> R + 'static) {
        if !self.0.closed.get() {
            self.0.callbacks.add(Box::new(move |ioloop| callback(ioloop).outcome()));
        }
    }

    /// Run this at that time by the loop's clock, or as soon after as may be. Closed, the loop forgets it.
    pub fn call_at<R: Reply>(
        &self,
        deadline: Duration,
        callback: impl FnOnce(&Self) -> R + 'static,
    ) -> TimerId {
        let callback = Timed::new(move |ioloop| callback(ioloop).outcome());
        let timer = self.0.timers.borrow_mut().add(deadline, callback);
        if self.0.closed.get() {
            self.remove_timeout(timer);
        }
        timer
    }

    /// Run this after so long.
    pub fn call_later<R: Reply>(
        &self,
        delay: Duration,
        callback: impl FnOnce(&Self) -> R + 'static,
    ) -> TimerId {
        self.call_at(self.time().saturating_add(delay), callback)
    }

    /// Have a timer not run. One that ran or was removed already is no error.
    pub fn remove_timeout(&self, timer: TimerId) {
        // Dropped outside of the borrow: what it carries may be the last of something that has a timer too.
        let carried = self.0.timers.borrow_mut().cancel(timer);
        drop(carried);
    }

    /// Run them one after the other. What goes wrong with one is reported, and the next one runs. If the loop is
    /// closed by one, the rest is forgotten.
    // ANCHOR: run_all
    pub(crate) fn run_all(&self, origin: Origin, mut callbacks: impl Iterator<Item = impl Run>) {
        // One net for all of them: it is set up again only after somebody fell.
        while let Err(cause) = guarded(|| callbacks.try_for_each(|callback| self.run_one(callback))) {
            self.failed(Failure { origin, cause });
        }
    }
    // ANCHOR_END: run_all

    fn run_one(&self, callback: impl Run) -> Outcome {
        if self.0.closed.get() { Ok(()) } else { callback.run(self) }
    }
}
