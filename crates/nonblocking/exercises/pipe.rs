//! Exercise `nonblocking/pipe`: pipes that never block, and their capacity.
//!
//! Goal: both ends are nonblocking and close-on-exec from their first moment. A capacity is the value that the
//! kernel returns, in bytes. An error names its call; that of `capacity` also the descriptor, and that of `set_capacity`
//! the descriptor and the requested bytes. Both say what the errno means for a pipe, in these words: EBADF is "not a
//! pipe" (the descriptor may be open), EBUSY "fewer pages than it uses", EPERM "above /proc/sys/fs/pipe-max-size", and
//! EINVAL "more than a pipe can hold".
//! To make an error from an errno: `Error::on("fcntl(F_SETPIPE_SZ)", format_args!("descriptor {number}, …"))(errno)`,
//! with `crate::Error`.
//! Run `cargo workbook check nonblocking/pipe` after each change; `hint nonblocking/pipe` if you are stuck.

use std::os::fd::{AsFd, OwnedFd};

use crate::Result;

/// Makes a pipe and returns its read end and its write end. Both are nonblocking and close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    todo!("make a pipe that never blocks and is close-on-exec: write `pipe` in exercises/pipe.rs")
}

/// Returns the pipe's capacity, in bytes. `fd` may be either end.
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    todo!("return the capacity of the pipe {:?}: write `capacity` in exercises/pipe.rs", fd.as_fd())
}

/// Sets the pipe's capacity to `bytes` or more, and returns the new capacity, in bytes. `fd` may be either end.
///
/// More than 2 GiB, the maximum of any pipe, is `EINVAL`, whatever the kernel does with the number. Exactly 2 GiB is a
/// negative `int`; pass it on like any other number.
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let fd = fd.as_fd();
    todo!("set the capacity of the pipe {fd:?} to {bytes} bytes: write `set_capacity` in exercises/pipe.rs")
}
