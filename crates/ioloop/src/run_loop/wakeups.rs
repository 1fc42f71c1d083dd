//! Wake-ups: the handler of the waker queues what other threads sent and the signals that arrived.
//!
//! Contract: nothing runs here. Whatever arrived becomes a callback of the next iteration.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Origin, Outcome, Token};

impl IoLoop {
    // ANCHOR: receive
    /// The handler of the waker: queue the callbacks that other threads sent, and a callback for each signal that arrived.
    pub(super) fn receive(&self, waker: Token) -> Outcome {
        let received = self.0.shared.receive(|sent| self.0.callbacks.push(sent));
        // A signal writes to the same waker.
        for (signal, handler) in self.0.signals.take() {
            // Weak: a handler that is removed before this callback runs must not run.
            let handler = Rc::downgrade(&handler);
            self.0.callbacks.push(move |ioloop| {
                let Some(handler) = handler.upgrade() else { return Ok(()) };
                let ran = guarded(|| (handler.borrow_mut())(ioloop, signal));
                // If the handler has removed itself, this drops it.
                ioloop.report_each(Origin::Callback, [ran, drop_caught(handler)]);
                Ok(())
            });
        }
        // Other code closed or replaced the waker's descriptor, so the error lasts: report it once. From now on the loop
        // notices neither other threads nor signals.
        received.inspect_err(|_| self.remove_handler(waker))?;
        Ok(())
    }
    // ANCHOR_END: receive
}
