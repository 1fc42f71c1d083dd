//! Another way for `nonblocking/drain`: std's `read_to_end`, which retries EINTR, keeps what it read before an error, and
//! stops at the limit of `take`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};

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
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the file is never dropped, so it does not close the descriptor, which `fd` keeps open meanwhile.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
    let before = into.len();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let read = (&*file).take(limit).read_to_end(into);
    match read {
        _ if (into.len() - before) as u64 == limit => Ok(Stop::Limit),
        Ok(_) => Ok(Stop::EndOfFile),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Stop::WouldBlock),
        Err(error) => Err(Error::on_io("read", format!("descriptor {number}"))(error)),
    }
}
