//! Exercise `nonblocking/drain`: read everything that a descriptor has, up to a limit, and return why it stopped.
//!
//! Goal: append bytes until there are none now, until end of file, or until the limit is reached, and return which
//! of the three it was. A signal (`EINTR`) does not stop the drain, and neither does a read that returns fewer bytes
//! than it could. Bytes that were read before an error are kept. The limit may be `usize::MAX`, so it must not be
//! allocated.
//! An error names the call and the descriptor: `.map_err(Error::on("read", format_args!("descriptor {number}")))`,
//! with `crate::Error`.
//! Run `cargo workbook check drain` after each change; `hint drain` if you are stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Why [`drain`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The descriptor has no more bytes now, but may get more.
    WouldBlock,
    /// No more bytes will come: the last descriptor of the write end is closed, or a socket's peer has shut down its side.
    EndOfFile,
    /// The limit is reached, and there may be more bytes already.
    Limit,
}

/// Reads from a nonblocking descriptor until no bytes are left or `limit` bytes are read, and appends them to `into`.
/// Bytes that `into` already held do not count. With a limit of 0, nothing is read.
pub fn drain(fd: impl AsFd, into: &mut Vec<u8>, limit: usize) -> Result<Stop> {
    let (fd, had) = (fd.as_fd(), Vec::len(into));
    todo!(
        "append at most {limit} bytes of {fd:?} to the {had} in `into`: write `drain` in exercises/drain.rs"
    )
}
