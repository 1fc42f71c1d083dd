//! The nonblocking flag of an open file description.
//!
//! Contract: only `O_NONBLOCK` changes; every other status flag stays as it was, and so does close-on-exec.
//! The flag belongs to the open file description, not to the descriptor: every duplicate shares it, so a change
//! affects the reads and writes of every process that shares the description.

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// Returns whether the description is nonblocking, so that a read without data or a write without room fails
/// with `EAGAIN` instead of waiting.
///
/// # Errors
/// `EBADF` if the descriptor is not open. See fcntl(2), "File status flags".
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(get(&fd)?.contains(OFlag::O_NONBLOCK))
}

/// Makes reads and writes fail with `EAGAIN` instead of waiting, here and wherever else the description is shared.
///
/// If two threads or processes change flags of one description at the same time, one change can be lost, because
/// each writes back all the flags that it read.
///
/// # Errors
/// `EBADF` if the descriptor is not open, or was opened with `O_PATH`. See fcntl(2), "File status flags", and open(2).
// ANCHOR: set
pub fn set(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags | OFlag::O_NONBLOCK)
}
// ANCHOR_END: set

/// Makes reads and writes wait again, here and wherever else the description is shared.
///
/// # Errors
/// `EBADF` if the descriptor is not open, or was opened with `O_PATH`. See fcntl(2), "File status flags", and open(2).
pub fn clear(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags - OFlag::O_NONBLOCK)
}

// ANCHOR: get
fn get(fd: &impl AsFd) -> Result<OFlag> {
    let fd = fd.as_fd();
    // `retain`, not `truncate`: a flag that a newer kernel adds must be written back too.
    fcntl(fd, FcntlArg::F_GETFL)
        .map(OFlag::from_bits_retain)
        .map_err(Error::on("fcntl(F_GETFL)", format_args!("descriptor {}", fd.as_raw_fd())))
}

fn put(fd: &impl AsFd, flags: OFlag) -> Result<()> {
    let fd = fd.as_fd();
    // F_GETFL also returned the access mode; F_SETFL ignores it.
    fcntl(fd, FcntlArg::F_SETFL(flags))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFL)", format_args!("descriptor {}", fd.as_raw_fd())))
}
// ANCHOR_END: get
