//! SIGTERM and SIGINT as a descriptor to read from, for a while: see signalfd(2).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::{Error, Result};

/// As long as it lives, the two signals do nothing in this thread but wait to be read. A poller finds it ready
/// (`AsFd`) when one came.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// From now on. The calling thread is to be the only one: another would still be ended by them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: see signalfd(2), "ERRORS".
    pub fn take() -> Result<Self> {
        let ours: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        let fd = SignalFd::with_flags(&ours, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let fd = fd.map_err(Error::on("signalfd", "SIGTERM and SIGINT"))?;
        // Blocked, or they would do what they do by default instead of waiting to be read.
        let before = ours.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        Ok(Self { fd, before: before.map_err(Error::on("sigprocmask", "this thread"))? })
    }

    /// The next one that came, if one did.
    ///
    /// # Errors
    /// Those of read(2) on a signalfd.
    pub fn next(&self) -> Result<Option<Signal>> {
        let came = self.fd.read_signal().map_err(Error::on("read", "the signalfd"))?;
        Ok(came.and_then(|came| Signal::try_from(came.ssi_signo.cast_signed()).ok()))
    }

    /// In the child of a fork: close its copy of the descriptor. Which signals are blocked there is its own affair.
    pub fn leave(self) {
        let mut this = self;
        // What dropping it puts back is what there is already.
        if let Ok(now) = SigSet::thread_get_mask() {
            this.before = now;
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}
