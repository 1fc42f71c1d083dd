//! Signal handlers: added and removed here, and queued by `wakeups` when their signals arrive.

use std::cell::RefCell;

use nix::sys::signal::Signal;

use super::{IoLoop, SignalHandler};
use crate::alarm::Alarm;
use crate::{IntoOutcome, Origin, Result, Token};

/// Identifies a signal handler, for [`IoLoop::remove_signal_handler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalToken(Token);

impl IoLoop {
    /// Run `handler` on the loop when one of these signals arrives. Any number of one signal between two iterations is
    /// one call. The handler that the kernel calls only marks the signal and writes to the waker, so `handler` may do whatever a
    /// callback may.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner in this process, and for SIGALRM while code that blocks is reported; `EINVAL`
    /// for SIGKILL and SIGSTOP, and for the signals of faults such as SIGSEGV, see [`waker::signal::SignalWaker::new`]. The
    /// error names the signal. `EBADF` if the loop is closed.
    ///
    /// A handler of SIGALRM that removes itself has the signal until it returns. So if it adds another handler of SIGALRM
    /// before that, it gets `EBUSY`: add the other one in a callback.
    pub fn add_signal_handler<F, R>(&self, signals: &[Signal], mut handler: F) -> Result<SignalToken>
    where
        F: FnMut(&Self, Signal) -> R + 'static,
        R: IntoOutcome,
    {
        // A closed loop would take the signal from the process and never handle it.
        self.must_be_open("add_signal_handler")?;
        let alarm =
            signals.contains(&Signal::SIGALRM).then(|| Alarm::take("add_signal_handler")).transpose()?;
        let kept = (alarm, self.awaits());
        let handler: SignalHandler = RefCell::new(Box::new(move |ioloop, signal| {
            let _kept = &kept;
            ioloop.traced::<F, _>(Origin::Callback, None, || handler(ioloop, signal)).into_outcome()
        }));
        self.0.signals.add(self.0.shared.waker().get_ref().writer(), signals, handler).map(SignalToken)
    }

    /// Remove a signal handler, and restore the dispositions that its signals had before. The handler does not run
    /// anymore, not even for a signal that has arrived already.
    pub fn remove_signal_handler(&self, signals: SignalToken) {
        self.0.signals.remove(signals.0);
    }
}
