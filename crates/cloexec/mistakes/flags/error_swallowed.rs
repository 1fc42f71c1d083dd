//! Mistake: an error counts as "not set".
//! Caught by: a_closed_descriptor_is_an_error
//! Message: keeps the error to itself

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::{Error, Result};

/// Is the descriptor closed by `execve`?
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(get(&fd).is_ok_and(|flags| flags.contains(FdFlag::FD_CLOEXEC)))
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
    fcntl(fd, FcntlArg::F_SETFD(flags))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFD)", format_args!("descriptor {}", fd.as_raw_fd())))
}
