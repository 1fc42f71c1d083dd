//! Read all there is, and say why it stopped.
//!
//! Contract: it stops when the kernel says that there is nothing now, or nothing ever again, or at the limit;
//! it never guesses from a short read. A signal is none of these, and the read is tried again. What was read
//! before an error is kept. Whoever writes faster than we read keeps us no longer than the limit says.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::read;

use crate::{Error, Result};

/// Why [`drain`] stopped.
// ANCHOR: stop
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is there now, and there may be more later: ask the poller to say when.
    WouldBlock,
    /// There will never be more: the last descriptor of the other end is closed.
    EndOfFile,
    /// The limit is reached. There may be more already: come back after the others have had their turn.
    Limit,
}
// ANCHOR_END: stop

/// In bytes: the most that one read is asked for. A pipe's usual 64 KiB take four reads, and what lies on the
/// stack meanwhile stays small.
const CHUNK: usize = 16 * 1024;

/// Read from a nonblocking descriptor until there is nothing left or `limit` bytes are read, and append them
/// to `into`. Bytes that `into` held before do not count. With a limit of 0 nothing is read.
///
/// A descriptor that blocks makes this wait at its end for bytes or for the other end's close.
///
/// # Errors
/// Those of read(2), "ERRORS", but `EAGAIN` and `EINTR`: `EBADF`, `EISDIR`, `ECONNRESET` on a socket, `EIO`.
/// `into` keeps what came before the error.
// ANCHOR: drain
pub fn drain(fd: impl AsFd, into: &mut Vec<u8>, limit: usize) -> Result<Stop> {
    let fd = fd.as_fd();
    let mut chunk = [0; CHUNK];
    let mut left = limit;
    while left > 0 {
        match read(fd, &mut chunk[..left.min(CHUNK)]) {
            Ok(0) => return Ok(Stop::EndOfFile),
            Ok(taken) => {
                into.extend_from_slice(&chunk[..taken]);
                left -= taken;
            }
            // EWOULDBLOCK is the same number.
            Err(Errno::EAGAIN) => return Ok(Stop::WouldBlock),
            Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(Error::on("read", format_args!("descriptor {}", fd.as_raw_fd()))(errno));
            }
        }
    }
    Ok(Stop::Limit)
}
// ANCHOR_END: drain
