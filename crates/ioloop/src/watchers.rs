//! Who looks on: at what goes wrong, at what each iteration did, and at what takes too long.

use std::time::Duration;

use crate::blocking::{Blocked, Watch};
use crate::trace::Iteration;
use crate::{Failure, IoLoop, Result};

/// Hears of what goes wrong.
pub(crate) type Hook = Box<dyn FnMut(&IoLoop, Failure)>;

/// Sees what an iteration did.
pub(crate) type Subscriber = Box<dyn FnMut(&IoLoop, Iteration)>;

impl IoLoop {
    /// Have this hear of what goes wrong in callbacks, timers and handlers, in place of standard error. If it panics
    /// itself, so does `start`, where a stop would end it: what else is queued and due in this iteration runs before.
    pub fn handle_callback_exception(&self, hook: impl FnMut(&Self, Failure) + 'static) {
        let previous = self.0.hook.borrow_mut().replace(Box::new(hook));
        drop(previous);
    }

    /// Have this see what each iteration did, when it is over. If it panics, so does `start`. Without it, nothing of that
    /// is measured.
    pub fn subscribe(&self, subscriber: impl FnMut(&Self, Iteration) + 'static) {
        let previous = self.0.subscriber.borrow_mut().replace(Box::new(subscriber));
        drop(previous);
    }

    /// Have `report` hear, in a thread of its own, of whatever keeps the loop from its next sleep for longer than
    /// `threshold`, with the stack, while it still does. Without a threshold: no more. It may be set from inside.
    ///
    /// As long as it is set the process has a thread more, and does not fork; and each iteration makes four system
    /// calls more.
    ///
    /// # Errors
    /// `EBUSY` if another loop of this process is watched; `EBADF` for a loop that is closed; those of timer_create(2).
    pub fn set_blocking_threshold(
        &self,
        threshold: Option<Duration>,
        report: impl FnMut(&Blocked) + Send + 'static,
    ) -> Result<()> {
        // The old one first: there is one in a process.
        let previous = self.0.watch.take();
        drop(previous);
        if let Some(threshold) = threshold {
            // Nothing of it runs any more, and another loop may want the watch.
            self.must_be_open("set_blocking_threshold")?;
            let watch = Watch::new(threshold, report)?;
            if self.is_started() {
                watch.arm();
            }
            *self.0.watch.borrow_mut() = Some(watch);
        }
        Ok(())
    }
}
