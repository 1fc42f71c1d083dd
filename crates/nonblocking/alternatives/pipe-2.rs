//! Another way for `nonblocking/pipe`: it refuses more than 2 GiB itself, and builds its errors in one closure.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::{Error, Result};

/// The largest capacity of any pipe.
const MAXIMUM: usize = 1 << 31;

/// Makes a pipe.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK);
    nix::unistd::pipe2(flags).map_err(Error::on("pipe2", "a pipe"))
}

/// Returns the capacity.
pub fn capacity(fd: impl AsFd) -> Result<usize> {
    let object = format!("descriptor {}", fd.as_fd().as_raw_fd());
    let bytes = fcntl(fd, FcntlArg::F_GETPIPE_SZ).map_err(failed("fcntl(F_GETPIPE_SZ)", object))?;
    Ok(bytes.unsigned_abs() as usize)
}

/// Sets the capacity.
pub fn set_capacity(fd: impl AsFd, bytes: usize) -> Result<usize> {
    let object = format!("descriptor {} (to {bytes} bytes)", fd.as_fd().as_raw_fd());
    let failed = failed("fcntl(F_SETPIPE_SZ)", object);
    if bytes > MAXIMUM {
        return Err(failed(Errno::EINVAL));
    }
    let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).cast_signed();
    match fcntl(fd, FcntlArg::F_SETPIPE_SZ(wanted)) {
        Ok(bytes) => Ok(bytes.unsigned_abs() as usize),
        Err(errno) => Err(failed(errno)),
    }
}

fn failed(operation: &'static str, object: String) -> impl FnOnce(Errno) -> Error {
    move |errno| {
        let reason = match errno {
            Errno::EBADF => ", which is not a pipe",
            Errno::EBUSY => ", which are fewer pages than it uses",
            Errno::EPERM => ", which is above /proc/sys/fs/pipe-max-size",
            Errno::EINVAL => ", which is more than a pipe can hold",
            _ => "",
        };
        Error::on(operation, object + reason)(errno)
    }
}
