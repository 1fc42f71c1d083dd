//! What the waker is for: callbacks from other threads, and signals.

use std::cell::RefCell;
use std::rc::Rc;

use nix::sys::signal::Signal;

use super::{Callback, IoLoop, SignalHandler};
use crate::{IntoOutcome, Origin, Outcome, Result, Token};

/// Which signal handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalToken(Token);

impl IoLoop {
    /// From now on, run `handler` in the loop when one of these signals comes: once for each kind, however many came. The
    /// kernel's own handler does nothing but wake the loop.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner in this process, `EINVAL` for SIGKILL and SIGSTOP: the error names it.
    /// `EBADF` for a loop that is closed.
    pub fn add_signal_handler<F, R>(&self, signals: &[Signal], mut handler: F) -> Result<SignalToken>
    where
        F: FnMut(&Self, Signal) -> R + 'static,
        R: IntoOutcome,
    {
        // It would take the signal from the process, and nothing would ever hear of it.
        self.must_be_open("add_signal_handler")?;
        let handler: SignalHandler = RefCell::new(Box::new(move |ioloop, signal| {
            ioloop.traced::<F, _>(Origin::Callback, None, || handler(ioloop, signal)).into_outcome()
        }));
        self.0.signals.add(self.0.shared.waker().get_ref().writer(), signals, handler).map(SignalToken)
    }

    /// Give the signals back to whatever handled them before. The handler does not run anymore, not even for a signal that
    /// has come already.
    pub fn remove_signal_handler(&self, signals: SignalToken) {
        self.0.signals.remove(signals.0);
    }

    /// The waker is ready: queue what other threads sent, and a callback for each signal that came.
    pub(super) fn receive(&self) -> Outcome {
        self.0.shared.receive(|sent| self.0.callbacks.push(Callback::new(sent)))?;
        // A signal writes to the same waker.
        for (signal, handler) in self.0.signals.take() {
            // Weak: removed before its turn, it must not run.
            let handler = Rc::downgrade(&handler);
            self.0.callbacks.push(Callback::new(move |ioloop| {
                handler.upgrade().map_or(Ok(()), |handler| (handler.borrow_mut())(ioloop, signal))
            }));
        }
        Ok(())
    }
}
