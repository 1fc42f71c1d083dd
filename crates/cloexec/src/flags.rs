//! The close-on-exec flag of one descriptor.
//!
//! Contract: only `FD_CLOEXEC` changes; every other descriptor flag stays as it was. The flag belongs to the
//! descriptor, not to the open file description: a duplicate has its own flag, and so does a child's copy.

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::{Error, Result};

/// Returns whether the descriptor is close-on-exec, so that `execve` closes it.
///
/// # Errors
/// `EBADF` if the descriptor is not open. See F_GETFD(2const), or fcntl(2) before man-pages 6.15.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(get(&fd)?.contains(FdFlag::FD_CLOEXEC))
}

/// Sets close-on-exec, so that `execve` closes the descriptor.
///
/// # Errors
/// `EBADF` if the descriptor is not open. See F_GETFD(2const), or fcntl(2) before man-pages 6.15.
// ANCHOR: set
pub fn set(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags | FdFlag::FD_CLOEXEC)
}
// ANCHOR_END: set

/// Clears close-on-exec, so that the descriptor survives `execve`.
///
/// # Errors
/// `EBADF` if the descriptor is not open. See F_GETFD(2const), or fcntl(2) before man-pages 6.15.
pub fn clear(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags - FdFlag::FD_CLOEXEC)
}

// ANCHOR: get
fn get(fd: &impl AsFd) -> Result<FdFlag> {
    let fd = fd.as_fd();
    // `retain`, not `truncate`: a flag that a newer kernel adds must be written back too.
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
// ANCHOR_END: get
