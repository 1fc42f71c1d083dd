//! Pipes whose size is known to the byte.

use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::lab::{Lab, Result, cannot_ask};

impl Lab {
    /// A pipe, nonblocking and close-on-exec at both ends, that holds exactly `capacity` bytes: read end, write end.
    ///
    /// A pipe consists of pages, so this cannot be asked where a page is larger than `capacity`, or where the
    /// user has so many pipes already that the kernel gives out small ones.
    pub fn nonblocking_pipe(&self, capacity: i32) -> Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        match fcntl(&writer, FcntlArg::F_SETPIPE_SZ(capacity)) {
            Ok(size) if size == capacity => Ok((reader, writer)),
            Ok(size) => Err(cannot_ask(format!("a pipe of {capacity} bytes was asked for, and has {size}"))),
            Err(error) => Err(cannot_ask(format!("a pipe of {capacity} bytes is not to be had: {error}"))),
        }
    }
}
