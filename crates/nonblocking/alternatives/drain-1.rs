//! Another way for `nonblocking/drain`: each read goes into the vector itself, which grows by a chunk before it and shrinks
//! to what was read after it.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::read;

use crate::{Error, Result};

/// Why [`drain`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// There are no more bytes now.
    WouldBlock,
    /// There will never be more bytes.
    EndOfFile,
    /// The limit is reached.
    Limit,
}

/// Reads up to `limit` bytes.
pub fn drain(fd: impl AsFd, into: &mut Vec<u8>, limit: usize) -> Result<Stop> {
    let before = into.len();
    loop {
        let (filled, left) = (into.len(), limit - (into.len() - before));
        if left == 0 {
            return Ok(Stop::Limit);
        }
        into.resize(filled + left.min(4096), 0);
        let answer = read(&fd, &mut into[filled..]);
        into.truncate(filled + answer.unwrap_or(0));
        match answer {
            Ok(0) => return Ok(Stop::EndOfFile),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Stop::WouldBlock),
            Err(errno) => {
                let object = format!("descriptor {}", fd.as_fd().as_raw_fd());
                return Err(Error::on("read", object)(errno));
            }
        }
    }
}
