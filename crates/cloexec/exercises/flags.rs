//! Exercise `cloexec/flags`: the close-on-exec flag of one descriptor.
//!
//! Goal: read, set and clear `FD_CLOEXEC`, and leave every other flag of the descriptor as it was.
//! Run `cargo run -p workbook check cloexec/flags` after each change; `hint cloexec/flags` if you are stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Is the descriptor closed by `execve`?
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    todo!("say whether {:?} has its close-on-exec flag set: write `is_set` in exercises/flags.rs", fd.as_fd())
}

/// Have `execve` close the descriptor.
pub fn set(fd: impl AsFd) -> Result<()> {
    todo!("set the close-on-exec flag of {:?}: write `set` in exercises/flags.rs", fd.as_fd())
}

/// Have the descriptor survive `execve`.
pub fn clear(fd: impl AsFd) -> Result<()> {
    todo!("clear the close-on-exec flag of {:?}: write `clear` in exercises/flags.rs", fd.as_fd())
}
