//! Mistake: F_SETFL where F_SETFD was meant.
//! Caught by: set_marks_the_descriptor
//! Message: F_SETFL where F_SETFD was meant?

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use crate::{Error, Result};

/// Is the descriptor closed by `execve`?
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(get(&fd)?.contains(FdFlag::FD_CLOEXEC))
}

/// Have `execve` close the descriptor.
pub fn set(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags | FdFlag::FD_CLOEXEC)
}

/// Have the descriptor survive `execve`.
pub fn clear(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags - FdFlag::FD_CLOEXEC)
}

fn get(fd: &impl AsFd) -> Result<FdFlag> {
    let fd = fd.as_fd();
    // `retain`, not `truncate`: a flag that a newer kernel adds must survive the round trip.
    fcntl(fd, FcntlArg::F_GETFD)
        .map(FdFlag::from_bits_retain)
        .map_err(Error::on("fcntl(F_GETFD)", format_args!("descriptor {}", fd.as_raw_fd())))
}

fn put(fd: &impl AsFd, flags: FdFlag) -> Result<()> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags.bits())))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFL)", format_args!("descriptor {}", fd.as_raw_fd())))
}
