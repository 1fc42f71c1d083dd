//! Another way for `nonblocking/flags`: one function makes the change, and writes only if there is one.

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// Returns whether the flag is set.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    read(&fd).map(|flags| flags.intersects(OFlag::O_NONBLOCK))
}

/// Sets the flag.
pub fn set(fd: impl AsFd) -> Result<()> {
    change(&fd, |flags| flags.insert(OFlag::O_NONBLOCK))
}

/// Clears the flag.
pub fn clear(fd: impl AsFd) -> Result<()> {
    change(&fd, |flags| flags.remove(OFlag::O_NONBLOCK))
}

fn read(fd: &impl AsFd) -> Result<OFlag> {
    let number = fd.as_fd().as_raw_fd();
    match fcntl(fd, FcntlArg::F_GETFL) {
        Ok(bits) => Ok(OFlag::from_bits_retain(bits)),
        Err(errno) => Err(Error::on("fcntl(F_GETFL)", format!("descriptor {number}"))(errno)),
    }
}

fn change(fd: &impl AsFd, edit: impl FnOnce(&mut OFlag)) -> Result<()> {
    let before = read(fd)?;
    let mut after = before;
    edit(&mut after);
    if after == before {
        return Ok(());
    }
    let number = fd.as_fd().as_raw_fd();
    fcntl(fd, FcntlArg::F_SETFL(after))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFL)", format!("descriptor {number}")))
}
