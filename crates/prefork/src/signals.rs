//! SIGTERM and SIGINT as a descriptor that a poller can wait for: see signalfd(2).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::{Error, Result};

/// SIGTERM and SIGINT, blocked in this thread and read from a descriptor while this value lives.
///
/// The descriptor (`AsFd`) is readable when one of the two is pending. Dropping the value restores the mask that the
/// thread had before. So a child of a supervisor must never drop it: the supervisor may forward a signal until the child
/// has exited, and an unblocked one would kill the child.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Block both signals in this thread, and open a signalfd for them. The calling thread must be the only one:
    /// the kernel would deliver the signals to another thread, and their default action would end the process.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is left, `ENODEV` or `ENOMEM` as in signalfd(2), "ERRORS".
    pub fn take() -> Result<Self> {
        let ours: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        let fd = SignalFd::with_flags(&ours, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let fd = fd.map_err(Error::on("signalfd", "SIGTERM and SIGINT"))?;
        // A signal that is not blocked takes its default action, and never becomes readable.
        let before = ours.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        Ok(Self { fd, before: before.map_err(Error::on("sigprocmask", "this thread"))? })
    }

    /// Read the next pending signal. `None` if neither is pending: this never blocks.
    ///
    /// # Errors
    /// Those of read(2) on a signalfd, except `EAGAIN`.
    pub fn next(&self) -> Result<Option<Signal>> {
        let info = self.fd.read_signal().map_err(Error::on("read", "the signalfd"))?;
        Ok(info.and_then(|info| Signal::try_from(info.ssi_signo.cast_signed()).ok()))
    }

    /// Close a forked child's copy of the descriptor, and leave the child's signal mask as it is.
    ///
    /// Dropping the value instead would give the child its parent's old mask.
    pub fn drop_in_child(self) {
        let mut this = self;
        // `drop` restores `before`, so the mask that the child has now must be in there.
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
