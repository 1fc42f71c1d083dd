//! Gates: one process of an experiment waits until another one lets it through.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Lab;
use crate::timeline::{LOG, Log};
use crate::verdict::Result;

/// How often a process that waits at a gate checks whether another one has failed, in milliseconds.
const CHECK: u8 = 200;

impl Lab {
    /// A gate between a parent and its children, made before the fork: one side waits until the other opens it. Its
    /// descriptor has a number near the timeline's, above those that experiments show.
    pub fn gate(&self) -> Result<Gate> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_SEMAPHORE;
        let low = EventFd::from_value_and_flags(0, flags)?;
        let high = fcntl(low.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(LOG))?;
        // SAFETY: F_DUPFD_CLOEXEC made this descriptor a moment ago, so its number is known here only.
        Ok(Gate(unsafe { OwnedFd::from_raw_fd(high) }, Arc::clone(&self.lane.log)))
    }
}

/// Opened as many times as it is passed. See [`Lab::gate`].
#[derive(Debug)]
pub struct Gate(OwnedFd, Arc<Log>);

impl Gate {
    /// Let one waiter through.
    pub fn open(&self) -> Result {
        nix::unistd::write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }

    /// Wait until the other side opens it. It is an error if the other side cannot, because it has failed.
    pub fn pass(&self) -> Result {
        let mut count = [0; 8];
        while poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], CHECK).is_ok_and(|ready| ready == 0)
        {
            if let Some(failure) = self.1.failure()? {
                return Err(failure);
            }
        }
        while let Err(error) = nix::unistd::read(&self.0, &mut count) {
            if error != Errno::EINTR {
                return Err(error.into());
            }
        }
        Ok(())
    }
}
