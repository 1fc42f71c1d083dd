//! SIGALRM has one user in a process: the watchdog, or a signal handler.
//!
//! Contract: either restores the action that it found, so if both could have the signal, the first one to leave would take it
//! from the other.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;

use crate::{Error, Result};

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to handle SIGALRM, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm(());

impl Alarm {
    /// # Errors
    /// `EBUSY` if a watchdog or a signal handler of this process has the signal.
    pub(crate) fn take(operation: &'static str) -> Result<Self> {
        if IS_TAKEN.swap(true, Ordering::AcqRel) {
            let object = "SIGALRM, which a watchdog or a signal handler has";
            return Err(Error::on(operation, object)(Errno::EBUSY));
        }
        Ok(Self(()))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}
