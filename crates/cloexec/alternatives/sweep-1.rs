//! Another way for `cloexec/sweep`: libc's own `close_range`, and in the fallback `fcntl` on each number of a sorted list.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result};

/// Sets the flag on every descriptor from this number up.
pub fn set_from(first: RawFd) -> Result<()> {
    let failed = |errno| Error::on("close_range", format!("descriptors from {first} on"))(errno);
    let Ok(lowest) = u32::try_from(first) else { return Err(failed(Errno::EINVAL)) };
    let Err(errno) = close_range_cloexec(lowest) else { return Ok(()) };
    if !is_refusal(errno) {
        return Err(failed(errno));
    }
    let open: BTreeSet<RawFd> = open_descriptors()?.into_iter().collect();
    open.range(first..).try_for_each(|number| match set(*number) {
        Err(errno) if errno != Errno::EBADF => {
            Err(Error::on("fcntl(F_SETFD)", format!("descriptor {number}"))(errno))
        }
        _ => Ok(()),
    })
}

fn set(number: RawFd) -> nix::Result<()> {
    // SAFETY: the call takes integers and touches no memory.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) }).map(drop)
}

/// Makes the system call.
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: with this flag the call closes nothing.
    Errno::result(unsafe { libc::close_range(first, libc::c_uint::MAX, flags) }).map(drop)
}

/// Is the fallback needed?
pub fn is_refusal(errno: Errno) -> bool {
    [Errno::ENOSYS, Errno::EINVAL, Errno::EPERM].contains(&errno)
}

/// Lists the open descriptors.
pub fn open_descriptors() -> Result<Vec<RawFd>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").map_err(Error::on_io("opendir", "/proc/self/fd"))? {
        let name = entry.map_err(Error::on_io("readdir", "/proc/self/fd"))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    Ok(numbers)
}
