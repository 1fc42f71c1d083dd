//! Who is told what: of a failure, of an iteration, and of code that blocks the loop.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use super::{IoLoop, Phase, Subscriber, Subscription};
use crate::watchdog::{Blocked, Watchdog};
use crate::{Failure, Iteration, Result};

impl IoLoop {
    /// Let `hook` hear of what goes wrong in callbacks, timers and handlers, in place of standard error. If it panics, so
    /// does `start`, at once; what is still queued, due and ready is kept for the next start.
    pub fn handle_callback_exception(&self, hook: impl FnMut(&Self, Failure) + 'static) {
        let replaced = self.0.on_failure.replace(Some(Rc::new(RefCell::new(hook))));
        drop(replaced);
    }

    /// Let `subscriber` see what each iteration did, at its end; any number of subscribers, in the order in which they were
    /// added. If one panics, so does `start`. Without a subscriber, no time is measured.
    pub fn subscribe(&self, subscriber: impl FnMut(&Self, Iteration) + 'static) -> Subscription {
        let subscriber: Subscriber = Rc::new(RefCell::new(subscriber));
        Subscription::Subscriber(self.0.subscribers.add(subscriber))
    }

    /// Let a subscriber or a tracer see nothing more. It may do that itself. Doing it twice does no harm.
    pub fn unsubscribe(&self, subscription: Subscription) {
        match subscription {
            Subscription::Subscriber(number) => self.0.subscribers.remove(number),
            Subscription::Tracer(number) => self.0.tracers.remove(number),
        }
    }

    /// Let `report` hear, in a thread of its own, of whatever keeps the loop from its next sleep for longer than
    /// `threshold`, with the stack, while it still does. Without a threshold: no more. It may be set from inside.
    ///
    /// As long as it is set, the process has one more thread and does not fork, and each iteration makes two more system
    /// calls.
    ///
    /// # Errors
    /// `EBUSY` if another loop of this process is watched; `EBADF` for a loop that is closed; those of timer_create(2).
    pub fn set_blocking_threshold(
        &self,
        threshold: Option<Duration>,
        report: impl FnMut(&Blocked) + Send + 'static,
    ) -> Result<()> {
        // The old one first: there is one in a process.
        drop(self.0.watchdog.take());
        if let Some(threshold) = threshold {
            self.must_be_open("set_blocking_threshold")?;
            *self.0.watchdog.borrow_mut() = Some(Watchdog::new(threshold, report)?);
            if self.0.phase.get() == Phase::Running {
                self.watchdog_on();
            }
        }
        Ok(())
    }

    /// From here on it is the code of others that runs.
    pub(super) fn watchdog_on(&self) {
        if let Some(watchdog) = &*self.0.watchdog.borrow() {
            watchdog.arm();
        }
    }

    /// And from here on the kernel's.
    pub(super) fn watchdog_off(&self) {
        if let Some(watchdog) = &*self.0.watchdog.borrow() {
            watchdog.disarm();
        }
    }

    pub(super) fn report(&self, failure: Failure) {
        let hook = self.0.on_failure.borrow().clone();
        match hook {
            Some(hook) => (hook.borrow_mut())(self, failure),
            // Where nothing reads standard error, writing to it fails, and that is no reason to end.
            None => drop(writeln!(io::stderr(), "ioloop: {failure}")),
        }
    }

    // ANCHOR: account
    /// The account of an iteration that begins. Times are noted only if something subscribed: a look at the clock is not
    /// free.
    pub(super) fn account(&self) -> Iteration {
        Iteration { start: self.trace_time(), ..Iteration::default() }
    }

    /// Sleep until something is ready, for as long as the account says at most. The watchdog is off meanwhile.
    pub(super) fn wait(&self, account: &mut Iteration) -> Result<()> {
        account.sleep_start = self.trace_time();
        self.watchdog_off();
        account.events = self.0.registry.borrow_mut().wait(account.timeout)?;
        self.watchdog_on();
        account.sleep_end = self.trace_time();
        Ok(())
    }

    /// Tell the subscribers what the iteration did.
    pub(super) fn notify(&self, account: Iteration) {
        self.0.subscribers.each(|subscriber| (subscriber.borrow_mut())(self, account));
    }
    // ANCHOR_END: account

    fn trace_time(&self) -> Duration {
        if self.0.subscribers.is_empty() { Duration::ZERO } else { self.time() }
    }
}
