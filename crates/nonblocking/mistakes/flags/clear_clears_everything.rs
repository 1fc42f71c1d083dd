//! Mistake: `clear` writes no flags at all.
//! Caught by: other_status_flags_stay
//! Message: was to change O_NONBLOCK

use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

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
    put(&fd, OFlag::empty())
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
    // The access mode comes along, since F_GETFL gives it too; the kernel ignores it here.
    fcntl(fd, FcntlArg::F_SETFL(flags))
        .map(drop)
        .map_err(Error::on("fcntl(F_SETFL)", format_args!("descriptor {}", fd.as_raw_fd())))
}
