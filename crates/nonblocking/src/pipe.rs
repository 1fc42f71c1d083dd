//! Pipes that never block, and how much they hold.
//!
//! Contract: both ends are nonblocking and close-on-exec from birth, so that no other thread's fork and exec
//! can carry one off. A capacity is always the kernel's own answer, in bytes: it rounds what it is asked for.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// Make a pipe: the end to read from, then the end to write to. Neither ever blocks, both are close-on-exec.
///
/// # Errors
/// `EMFILE` where fewer than two numbers are left, `ENFILE` where the system has no more files to give, or
/// the user's pipes hold too much memory. See pipe(2), "ERRORS".
// ANCHOR: pipe
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}
// ANCHOR_END: pipe

/// How many bytes the pipe can hold; either end will do. Writes of less than a page can fill it sooner, since
/// each may take up a page of its own.
///
/// # Errors
/// `EBADF` if the descriptor is not open, and also if it is not a pipe. See fcntl(2), "Changing the
/// capacity of a pipe".
// ANCHOR: capacity
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).map(in_bytes).map_err(|errno| {
        let number = fd.as_raw_fd();
        Error::on("fcntl(F_GETPIPE_SZ)", format_args!("descriptor {number}{}", reason(errno)))(errno)
    })
}

/// Have the pipe hold `bytes` or more; either end will do. The answer is what it holds now: a power of two of
/// pages, and one page where less is asked for, even 0. What is in the pipe stays there.
///
/// # Errors
/// `EBUSY` if the pipe holds more now than it would then; `EPERM` for an ordinary user who wants more than
/// `/proc/sys/fs/pipe-max-size`, or whose pipes are above `/proc/sys/fs/pipe-user-pages-soft`; `EINVAL` for
/// more than a pipe can ever hold (2 GiB); `ENOMEM`; `EBADF` if the descriptor is not open, or not a pipe.
/// The pipe is then as it was. See fcntl(2), "Changing the capacity of a pipe", and pipe(7), "Pipe capacity".
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let fd = fd.as_fd();
    // The kernel looks at 32 bits and drops the rest: for 4 GiB it would see 0, and answer with one page.
    let answer = match u32::try_from(bytes) {
        Ok(bytes) => fcntl(fd, FcntlArg::F_SETPIPE_SZ(bytes.cast_signed())),
        Err(_) => Err(Errno::EINVAL),
    };
    answer.map(in_bytes).map_err(|errno| {
        let (number, reason) = (fd.as_raw_fd(), reason(errno));
        Error::on("fcntl(F_SETPIPE_SZ)", format_args!("descriptor {number}, to {bytes} bytes{reason}"))(errno)
    })
}
// ANCHOR_END: capacity

/// The kernel's unsigned number, which came through an `int`.
fn in_bytes(answer: i32) -> usize {
    answer.cast_unsigned() as usize
}

// ANCHOR: reason
/// What the errno means for a pipe; its name alone would mislead, or could mean several things.
fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::EBADF => " (not a pipe, or not open)",
        Errno::EBUSY => " (less than is in it now)",
        Errno::EPERM => " (above /proc/sys/fs/pipe-max-size, or the user's pipes above pipe-user-pages-soft)",
        Errno::EINVAL => " (more than a pipe can hold)",
        _ => "",
    }
}
// ANCHOR_END: reason
