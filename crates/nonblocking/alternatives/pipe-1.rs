//! Another way for `nonblocking/pipe`: libc's calls, and a table of reasons.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int};

use crate::{Error, Result};

/// What an errno means for a pipe.
const REASONS: [(Errno, &str); 4] = [
    (Errno::EBADF, "not a pipe"),
    (Errno::EBUSY, "fewer pages than it uses"),
    (Errno::EPERM, "above /proc/sys/fs/pipe-max-size"),
    (Errno::EINVAL, "more than a pipe can hold"),
];

/// Makes a pipe.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends: [c_int; 2] = [-1, -1];
    // SAFETY: the kernel writes two numbers into the array.
    let answer = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) };
    Errno::result(answer).map_err(Error::on("pipe2", "a new pipe"))?;
    // SAFETY: both are new, so nothing else owns them.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((reader, writer))
}

/// Returns the capacity.
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    let number = fd.as_fd().as_raw_fd();
    call(number, libc::F_GETPIPE_SZ, 0, "fcntl(F_GETPIPE_SZ)", &format!("descriptor {number}"))
}

/// Sets the capacity.
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let number = fd.as_fd().as_raw_fd();
    let object = format!("descriptor {number}, {bytes} bytes");
    // From 2 GiB on an `int` is negative, which the kernel reads as an unsigned one. It refuses -1, the largest.
    let argument = u32::try_from(bytes).unwrap_or(u32::MAX).cast_signed();
    call(number, libc::F_SETPIPE_SZ, argument, "fcntl(F_SETPIPE_SZ)", &object)
}

fn call(number: c_int, operation: c_int, argument: c_int, name: &'static str, object: &str) -> Result<usize> {
    // SAFETY: both operations take an integer and touch no memory.
    let answer = unsafe { libc::fcntl(number, operation, argument) };
    usize::try_from(answer).map_err(|_| {
        let errno = Errno::last();
        let reason = REASONS.iter().find(|(known, _)| *known == errno).map_or("", |(_, reason)| reason);
        Error::on(name, format!("{object}: {reason}"))(errno)
    })
}
