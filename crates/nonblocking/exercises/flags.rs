//! Exercise `nonblocking/flags`: the nonblocking flag of an open file description.
//!
//! Goal: read, set and clear `O_NONBLOCK`, and leave every other status flag, and close-on-exec, as they were.
//! Run `cargo run -p workbook check nonblocking/flags` after each change; `hint nonblocking/flags` if you are
//! stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Does a read that finds nothing, or a write that finds no room, come back at once with `EAGAIN`?
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    todo!("say whether {:?} is nonblocking: write `is_set` in exercises/flags.rs", fd.as_fd())
}

/// Have reads and writes come back at once, here and wherever else the description is shared.
pub fn set(fd: impl AsFd) -> Result<()> {
    todo!("make {:?} nonblocking: write `set` in exercises/flags.rs", fd.as_fd())
}

/// Have reads and writes wait again, here and wherever else the description is shared.
pub fn clear(fd: impl AsFd) -> Result<()> {
    todo!("make {:?} block again: write `clear` in exercises/flags.rs", fd.as_fd())
}
