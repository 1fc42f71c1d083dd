//! Pipes that never block, and their capacity.
//!
//! Contract: both ends are nonblocking and close-on-exec from the start, so another thread that forks and execs
//! cannot leak one into a program. A capacity is always the value that the kernel returns, in bytes, because the
//! kernel rounds a requested capacity up.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// Makes a pipe and returns its read end and its write end. Both are nonblocking and close-on-exec.
///
/// # Errors
/// `EMFILE` if the process has fewer than two free descriptors, `ENFILE` if the system's table of open files is full
/// or the user's pipes exceed their memory limit. See pipe(2), "ERRORS".
// ANCHOR: pipe
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}
// ANCHOR_END: pipe

/// Returns the pipe's capacity, in bytes. `fd` may be either end.
///
/// Writes smaller than a page can fill the pipe sooner, because each may take a page of its own.
///
/// # Errors
/// `EBADF` if the descriptor is not open or is not a pipe. See fcntl(2), "Changing the capacity of a pipe".
// ANCHOR: capacity
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).map(in_bytes).map_err(|errno| {
        let number = fd.as_raw_fd();
        Error::on("fcntl(F_GETPIPE_SZ)", format_args!("descriptor {number}{}", reason(errno)))(errno)
    })
}

/// Sets the pipe's capacity to `bytes` or more, and returns the new capacity, in bytes. `fd` may be either end.
///
/// The kernel rounds up to a power of two of pages; less than a page, even 0, becomes one page. The bytes in the
/// pipe stay there.
///
/// # Errors
/// `EBUSY` if the bytes in the pipe use more pages than the new capacity has; `EPERM` if an unprivileged user asks for more than
/// `/proc/sys/fs/pipe-max-size`, or the user's pipes exceed `/proc/sys/fs/pipe-user-pages-soft`; `EINVAL` for more
/// than 2 GiB, the maximum of any pipe; `ENOMEM`; `EBADF` if the descriptor is not open or is not a pipe. After an
/// error, the capacity is unchanged. See fcntl(2), "Changing the capacity of a pipe", and pipe(7), "Pipe capacity".
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let fd = fd.as_fd();
    // The argument is an `int`: of 4 GiB, the kernel would see the lower 32 bits, 0, and set one page.
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

/// Converts the kernel's unsigned number, which `fcntl` returns as an `int`.
fn in_bytes(answer: i32) -> usize {
    answer.cast_unsigned() as usize
}

// ANCHOR: reason
/// Says what the errno means for a pipe, because its name alone is misleading or ambiguous.
fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::EBADF => " (not a pipe, or not open)",
        Errno::EBUSY => " (fewer pages than it uses now)",
        Errno::EPERM => " (above /proc/sys/fs/pipe-max-size, or the user's pipes above pipe-user-pages-soft)",
        Errno::EINVAL => " (more than a pipe can hold)",
        _ => "",
    }
}
// ANCHOR_END: reason
