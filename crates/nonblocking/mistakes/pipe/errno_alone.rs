//! Mistake: the error says neither how many bytes nor what the errno means.
//! Caught by: less_than_is_in_it_is_refused
//! Message: An errno alone leaves its reader to guess

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// Make a pipe: the end to read from, then the end to write to. Neither ever blocks, both are close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}

/// How many bytes the pipe can hold; either end will do. Writes of less than a page can fill it sooner, since
/// each may take up a page of its own.
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).map(in_bytes).map_err(|errno| {
        let number = fd.as_raw_fd();
        Error::on("fcntl(F_GETPIPE_SZ)", format_args!("descriptor {number}{}", reason(errno)))(errno)
    })
}

/// Have the pipe hold `bytes` or more; either end will do. The answer is what it holds now: a power of two of
/// pages, and one page where less is asked for, even 0. What is in the pipe stays there.
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let fd = fd.as_fd();
    // The kernel looks at 32 bits and drops the rest: for 4 GiB it would see 0, and answer with one page.
    let answer = match u32::try_from(bytes) {
        Ok(bytes) => fcntl(fd, FcntlArg::F_SETPIPE_SZ(bytes.cast_signed())),
        Err(_) => Err(Errno::EINVAL),
    };
    answer.map(in_bytes).map_err(|errno| {
        let number = fd.as_raw_fd();
        Error::on("fcntl(F_SETPIPE_SZ)", format_args!("descriptor {number}"))(errno)
    })
}

/// The kernel's unsigned number, which came through an `int`.
fn in_bytes(answer: i32) -> usize {
    answer.cast_unsigned() as usize
}

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
