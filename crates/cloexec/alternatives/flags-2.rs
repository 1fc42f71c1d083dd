//! Another way for `cloexec/flags`: one function makes the change, and writes only if there is one.

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::{Error, Result};

/// Returns whether the flag is set.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    let number = fd.as_fd().as_raw_fd();
    match fcntl(fd, FcntlArg::F_GETFD) {
        Ok(flags) => Ok(FdFlag::from_bits_retain(flags).intersects(FdFlag::FD_CLOEXEC)),
        Err(errno) => Err(Error::on("fcntl(F_GETFD)", format!("descriptor {number}"))(errno)),
    }
}

/// Sets the flag.
pub fn set(fd: impl AsFd) -> Result<()> {
    change(fd, true)
}

/// Clears the flag.
pub fn clear(fd: impl AsFd) -> Result<()> {
    change(fd, false)
}

fn change(fd: impl AsFd, on: bool) -> Result<()> {
    let fd = fd.as_fd();
    let object = format!("descriptor {}", fd.as_raw_fd());
    let before = fcntl(fd, FcntlArg::F_GETFD).map_err(Error::on("fcntl(F_GETFD)", &object))?;
    let mut after = FdFlag::from_bits_retain(before);
    after.set(FdFlag::FD_CLOEXEC, on);
    if after.bits() != before {
        fcntl(fd, FcntlArg::F_SETFD(after)).map_err(Error::on("fcntl(F_SETFD)", &object))?;
    }
    Ok(())
}
