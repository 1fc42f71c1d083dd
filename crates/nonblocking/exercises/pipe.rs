//! Exercise `nonblocking/pipe`: pipes that never block, and how much they hold.
//!
//! Goal: both ends are nonblocking and close-on-exec from their first moment. A capacity is what the kernel
//! says, in bytes. An error says what it was about: the descriptor, the bytes asked for, and what the errno
//! means for a pipe (not a pipe, less than is in it, above pipe-max-size, more than a pipe can hold).
//! Run `cargo workbook check nonblocking/pipe` after each change; `hint nonblocking/pipe` if you are stuck.

use std::os::fd::{AsFd, OwnedFd};

use crate::Result;

/// Make a pipe: the end to read from, then the end to write to. Neither ever blocks, both are close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    todo!("make a pipe that never blocks and is close-on-exec: write `pipe` in exercises/pipe.rs")
}

/// How many bytes the pipe can hold; either end will do.
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    todo!("ask how much the pipe {:?} can hold: write `capacity` in exercises/pipe.rs", fd.as_fd())
}

/// Have the pipe hold `bytes` or more; either end will do. The answer is what it holds now.
///
/// More than a pipe can ever hold is `EINVAL`, whatever the kernel makes of the number.
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let fd = fd.as_fd();
    todo!("have the pipe {fd:?} hold {bytes} bytes: write `set_capacity` in exercises/pipe.rs")
}
