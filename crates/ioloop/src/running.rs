//! Running a loop, and stopping it; and what the iteration asks of it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use crate::trace::Iteration;
use crate::{Clock, Error, Failure, IoLoop, Ready, Result, current, iteration};

impl IoLoop {
    /// Run until it is stopped.
    ///
    /// # Errors
    /// `EBUSY` if it runs already; the poller's.
    pub fn start(&self) -> Result<()> {
        if self.0.started.get() {
            return Err(Error::on("start", "a loop that runs")(Errno::EBUSY));
        }
        let ran = {
            let _running = Running::new(self);
            let _current = current::Entered::new(self);
            iteration::run(self)
        };
        match self.0.thrown.take() {
            Some(thrown) => resume_unwind(thrown),
            None => ran,
        }
    }

    /// Come back from [`IoLoop::start`] after what is queued and due in this iteration, before the next sleep. If it
    /// does not run, its next start comes back at once.
    pub fn stop(&self) {
        self.0.stopped.set(true);
    }

    /// From here on it is the code of others that runs.
    pub(crate) fn arm(&self) {
        if let Some(watch) = &*self.0.watch.borrow() {
            watch.arm();
        }
    }

    /// And from here on nobody's.
    pub(crate) fn disarm(&self) {
        if let Some(watch) = &*self.0.watch.borrow() {
            watch.disarm();
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.0.started.get()
    }

    pub(crate) fn has_subscriber(&self) -> bool {
        self.0.subscriber.borrow().is_some()
    }

    pub(crate) fn tell(&self, iteration: Iteration) {
        let ended = out_of_place(&self.0.subscriber, |subscriber| {
            if let Some(subscriber) = subscriber {
                subscriber(self, iteration);
            }
        });
        ended.unwrap_or_else(|thrown| resume_unwind(thrown));
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.0.stopped.get() && !self.0.shared.take_stop() && !self.0.closed.get()
    }

    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Duration) -> Result<()> {
        self.0.removed.set(false);
        let mut poller = self.0.poller.borrow_mut();
        let Clock::Fake(clock) = &self.0.clock else { return poller.wait(ready, Some(timeout)) };
        poller.wait(ready, Some(Duration::ZERO))?;
        if ready.is_empty() {
            clock.advance(timeout);
        }
        Ok(())
    }

    pub(crate) fn failed(&self, failure: Failure) {
        let ended = out_of_place(&self.0.hook, |hook| match hook {
            Some(hook) => hook(self, failure),
            // Where nobody reads standard error, writing to it fails, and that is no reason to end.
            None => drop(writeln!(io::stderr(), "ioloop: {failure}")),
        });
        if let Err(thrown) = ended {
            // From here it would take along what is queued, due and ready: a task whose poll is dropped waits for ever.
            // So it is a stop, and `start` goes on with it.
            self.stop();
            self.0.thrown.set(Some(self.0.thrown.take().unwrap_or(thrown)));
        }
    }
}

/// Run whoever looks on, if somebody does: out of its place meanwhile, since it may put another there. Otherwise it is
/// back afterwards, whatever it did: it is to hear of what comes next, too. `Err` is what it panicked with.
fn out_of_place<T>(place: &RefCell<Option<T>>, run: impl FnOnce(Option<&mut T>)) -> thread::Result<()> {
    let mut taken = place.borrow_mut().take();
    let ended = catch_unwind(AssertUnwindSafe(|| run(taken.as_mut())));
    let mut there = place.borrow_mut();
    let replaced = if there.is_none() { mem::replace(&mut *there, taken) } else { taken };
    // When nothing is borrowed: its drop may put yet another there.
    drop(there);
    drop(replaced);
    ended
}

/// The loop runs as long as it lives, however that ends.
struct Running<'a>(&'a IoLoop);

impl<'a> Running<'a> {
    fn new(ioloop: &'a IoLoop) -> Self {
        ioloop.0.started.set(true);
        Self(ioloop)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.started.set(false);
        // Whoever stopped it has what they wanted, as often as they said it: a stop is a flag, and no counter.
        self.0.0.stopped.set(false);
        self.0.0.shared.take_stop();
        self.0.disarm();
    }
}
