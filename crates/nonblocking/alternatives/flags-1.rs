//! Another way for `nonblocking/flags`: `ioctl(FIONBIO)`, which changes this one flag and no other, as std does for sockets.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::libc::{self, c_int};

use crate::{Error, Result};

/// Returns whether the flag is set.
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the call takes two integers.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFL) });
    let flags = flags.map_err(Error::on("fcntl(F_GETFL)", format!("descriptor {number}")))?;
    Ok(flags & libc::O_NONBLOCK == libc::O_NONBLOCK)
}

/// Sets the flag.
pub fn set(fd: impl AsFd) -> Result<()> {
    switch(&fd, 1)
}

/// Clears the flag.
pub fn clear(fd: impl AsFd) -> Result<()> {
    switch(&fd, 0)
}

fn switch(fd: &impl AsFd, mut on: c_int) -> Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one integer behind the pointer.
    let answer = unsafe { libc::ioctl(number, libc::FIONBIO, &raw mut on) };
    Errno::result(answer).map(drop).map_err(Error::on("ioctl(FIONBIO)", format!("descriptor {number}")))
}
