//! Exercise `nonblocking/flags`: the nonblocking flag of an open file description.
//!
//! Goal: read, set and clear `O_NONBLOCK`, and leave every other status flag, and close-on-exec, as they were. That
//! includes status flags that nix has no name for. A descriptor that is not open is an error, not "not set".
//! An error names the call and the descriptor: `.map_err(Error::on("fcntl(F_GETFL)", format_args!("descriptor {number}")))`,
//! with `crate::Error`.
//! Run `cargo workbook check nonblocking/flags` after each change; `hint nonblocking/flags` if you are
//! stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Returns whether the description is nonblocking, so that a read without data or a write without room fails
/// with `EAGAIN` instead of waiting.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    todo!("return whether {:?} is nonblocking: write `is_set` in exercises/flags.rs", fd.as_fd())
}

/// Makes reads and writes fail with `EAGAIN` instead of waiting, here and wherever else the description is shared.
pub fn set(fd: impl AsFd) -> Result<()> {
    todo!("make {:?} nonblocking: write `set` in exercises/flags.rs", fd.as_fd())
}

/// Makes reads and writes wait again, here and wherever else the description is shared.
pub fn clear(fd: impl AsFd) -> Result<()> {
    todo!("make {:?} block again: write `clear` in exercises/flags.rs", fd.as_fd())
}
