//! Mistake: F_SETFD where F_SETFL was meant.
//! Caught by: set_makes_it_nonblocking
//! Message: F_SETFD where F_SETFL was meant?

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use crate::{Error, Result};

/// Does a read that finds nothing, or a write that finds no room, come back at once with `EAGAIN`?
pub fn is_set(fd: impl AsFd) -> Result<bool> {
    Ok(get(&fd)?.contains(OFlag::O_NONBLOCK))
}

/// Have reads and writes come back at once, here and wherever else the description is shared.
///
/// Two who change flags of one description at the same moment can undo each other's work: each writes all of
/// them, as it found them.
pub fn set(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags | OFlag::O_NONBLOCK)
}

/// Have reads and writes wait again, here and wherever else the description is shared.
pub fn clear(fd: impl AsFd) -> Result<()> {
    let flags = get(&fd)?;
    put(&fd, flags - OFlag::O_NONBLOCK)
}

fn get(fd: &impl AsFd) -> Result<OFlag> {
    let fd = fd.as_fd();
    // `retain`, not `truncate`: a flag that a newer kernel adds must survive the round trip.
    fcntl(fd, FcntlArg::F_GETFL)
        .map(OFlag::from_bits_retain)
        .map_err(Error::on("fcntl(F_GETFL)", format_args!("descriptor {}", fd.as_raw_fd())))
}

fn put(fd: &impl AsFd, flags: OFlag) -> Result<()> {
    let fd = fd.as_fd();
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::from_bits_retain(flags.bits())))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFD)", format_args!("descriptor {}", fd.as_raw_fd())))
}
