//! Mistake: bytes reach the caller at the end, and an error comes before that.
//! Caught by: what_was_read_before_an_error_is_kept
//! Message: nobody can read it a second time

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::read;

use crate::{Error, Result};

/// Why [`drain`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is there now, and there may be more later: ask the poller to say when.
    WouldBlock,
    /// There will never be more: the last descriptor of the other end is closed.
    EndOfFile,
    /// The limit is reached. There may be more already: come back after the others have had their turn.
    Limit,
}

/// In bytes: the most that one read is asked for. A pipe's usual 64 KiB take four reads, and what lies on the
/// stack meanwhile stays small.
const CHUNK: usize = 16 * 1024;

/// Read from a nonblocking descriptor until there is nothing left or `limit` bytes are read, and append them
/// to `into`. Bytes that `into` held before do not count. With a limit of 0 nothing is read.
///
/// A descriptor that blocks makes this wait at its end for bytes or for the other end's close.
pub fn drain(fd: impl AsFd, into: &mut Vec<u8>, limit: usize) -> Result<Stop> {
    let fd = fd.as_fd();
    let mut chunk = [0; CHUNK];
    let mut left = limit;
    let mut read_so_far = Vec::new();
    let stop = loop {
        if left == 0 {
            break Stop::Limit;
        }
        match read(fd, &mut chunk[..left.min(CHUNK)]) {
            Ok(0) => break Stop::EndOfFile,
            Ok(taken) => {
                read_so_far.extend_from_slice(&chunk[..taken]);
                left -= taken;
            }
            Err(Errno::EAGAIN) => break Stop::WouldBlock,
            Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(Error::on("read", format_args!("descriptor {}", fd.as_raw_fd()))(errno));
            }
        }
    };
    into.append(&mut read_so_far);
    Ok(stop)
}
