//! Exercise `cloexec/flags`: the close-on-exec flag of one descriptor.
//!
//! Goal: read, set and clear `FD_CLOEXEC`, and leave every other flag of the descriptor as it was.
//! For errors: `.map_err(crate::Error::on("fcntl(F_GETFD)", "descriptor 7"))` names the call and its object.
//! The second argument is anything that can be printed, such as `format!("descriptor {number}")`.
//! Run `cargo workbook check cloexec/flags` after each change; `hint cloexec/flags` if you are stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Returns whether the descriptor is close-on-exec, so that `execve` closes it.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    todo!("return whether {:?} is close-on-exec: write `is_set` in exercises/flags.rs", fd.as_fd())
}

/// Sets close-on-exec, so that `execve` closes the descriptor.
pub fn set(fd: impl AsFd) -> Result<()> {
    todo!("set the close-on-exec flag of {:?}: write `set` in exercises/flags.rs", fd.as_fd())
}

/// Clears close-on-exec, so that the descriptor survives `execve`.
pub fn clear(fd: impl AsFd) -> Result<()> {
    todo!("clear the close-on-exec flag of {:?}: write `clear` in exercises/flags.rs", fd.as_fd())
}
