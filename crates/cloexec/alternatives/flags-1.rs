//! Another way for `cloexec/flags`: libc's `fcntl`, with numbers instead of nix's types.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc::{self, c_int};

use crate::{Error, Result};

/// Returns whether the flag is set.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(call(&fd, "fcntl(F_GETFD)", libc::F_GETFD, 0)? & libc::FD_CLOEXEC != 0)
}

/// Sets the flag.
pub fn set(fd: impl AsFd) -> Result<()> {
    let flags = call(&fd, "fcntl(F_GETFD)", libc::F_GETFD, 0)?;
    call(&fd, "fcntl(F_SETFD)", libc::F_SETFD, flags | libc::FD_CLOEXEC).map(drop)
}

/// Clears the flag.
pub fn clear(fd: impl AsFd) -> Result<()> {
    let flags = call(&fd, "fcntl(F_GETFD)", libc::F_GETFD, 0)?;
    call(&fd, "fcntl(F_SETFD)", libc::F_SETFD, flags & !libc::FD_CLOEXEC).map(drop)
}

fn call(fd: &impl AsFd, name: &'static str, operation: c_int, argument: c_int) -> Result<c_int> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: both operations take an integer and touch no memory.
    let answer = unsafe { libc::fcntl(number, operation, argument) };
    Errno::result(answer).map_err(Error::on(name, format!("descriptor {number}")))
}
