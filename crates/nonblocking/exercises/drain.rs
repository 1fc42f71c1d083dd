//! Exercise `nonblocking/drain`: read all there is, and say why it stopped.
//!
//! Goal: bytes are appended until there is nothing now, nothing ever again, or the limit is reached, and the
//! caller hears which. A signal is none of these. What was read before an error is kept.
//! Run `cargo run -p workbook check drain` after each change; `hint drain` if you are stuck.

use std::os::fd::AsFd;

use crate::Result;

/// Why [`drain`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is there now, and there may be more later.
    WouldBlock,
    /// There will never be more: the last descriptor of the other end is closed.
    EndOfFile,
    /// The limit is reached. There may be more already.
    Limit,
}

/// Read from a nonblocking descriptor until there is nothing left or `limit` bytes are read, and append them
/// to `into`. Bytes that `into` held before do not count. With a limit of 0 nothing is read.
pub fn drain(fd: impl AsFd, into: &mut Vec<u8>, limit: usize) -> Result<Stop> {
    let (fd, had) = (fd.as_fd(), Vec::len(into));
    todo!(
        "append at most {limit} bytes of {fd:?} to the {had} that are there: write `drain` in exercises/drain.rs"
    )
}
