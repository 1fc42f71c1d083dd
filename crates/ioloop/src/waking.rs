//! What wakes a loop: other threads' callbacks, and signals.

use std::cell::RefCell;
use std::rc::Rc;

use nix::sys::signal::Signal;

use crate::{IoLoop, Outcome, Reply, Result, Token};

/// Who hears of a signal.
pub(crate) type Heard = RefCell<Box<dyn FnMut(&IoLoop, Signal) -> Outcome>>;

/// Which signal handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalToken(Token);

impl IoLoop {
    /// From now on, run `handler` in the loop when one of these signals comes: each kind once, however many came.
    /// In the signal's own handler nothing happens but what wakes the loop.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner in this process, `EINVAL` for SIGKILL and SIGSTOP: the error names it.
    /// `EBADF` for a loop that is closed.
    pub fn add_signal_handler<R: Reply>(
        &self,
        signals: &[Signal],
        mut handler: impl FnMut(&Self, Signal) -> R + 'static,
    ) -> Result<SignalToken> {
        // It would take the signal from the process, and nobody would ever hear of it.
        self.must_be_open("add_signal_handler")?;
        let heard: Heard = RefCell::new(Box::new(move |ioloop, signal| handler(ioloop, signal).outcome()));
        self.0.signals.add(self.0.shared.waker().get_ref().writer(), signals, heard).map(SignalToken)
    }

    /// Give the signals back to whatever handled them before. The handler does not run any more, not even for a signal
    /// that has come already.
    pub fn remove_signal_handler(&self, signals: SignalToken) {
        self.0.signals.remove(signals.0);
    }

    /// The waker is ready: take what other threads have sent.
    pub(crate) fn receive(&self) -> Result<()> {
        let mut sent = self.0.sent.take();
        self.0.shared.receive(&mut sent)?;
        sent.drain(..).for_each(|callback| self.0.callbacks.add(callback));
        self.0.sent.set(sent);
        // A signal writes to the same waker.
        for (signal, heard) in self.0.signals.take() {
            // Not kept alive until its turn: who removes it before does not want it to run.
            let heard = Rc::downgrade(&heard);
            self.add_callback(move |ioloop| {
                heard.upgrade().map_or(Ok(()), |heard| (heard.borrow_mut())(ioloop, signal))
            });
        }
        Ok(())
    }
}
