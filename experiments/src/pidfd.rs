//! A descriptor for a process: ready to be read when the process has ended.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use crate::lab::{Result, cannot_ask};

/// A pidfd of a child that was not waited for yet: its pid is nobody else's until then. Close-on-exec, as every pidfd.
///
/// It came with Linux 5.3, and some sandboxes refuse it: then this cannot be asked. See pidfd_open(2).
pub fn pidfd(child: Pid) -> Result<OwnedFd> {
    // SAFETY: the call takes two numbers, and touches no memory of this program. nix and libc have no function for it.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0_u32) };
    match Errno::result(opened) {
        // SAFETY: the kernel made this descriptor a moment ago and nobody else knows of it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd)?) }),
        Err(error @ (Errno::ENOSYS | Errno::EPERM)) => {
            Err(cannot_ask(format!("pidfd_open is not to be had: {error}")))
        }
        Err(error) => Err(format!("pidfd_open({child}): {error}").into()),
    }
}
