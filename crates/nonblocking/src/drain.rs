//! Read everything that a nonblocking descriptor has, up to a limit, and return the reason for stopping.
//!
//! Contract: the drain stops on `EAGAIN`, at end of file, or at the limit. A short read does not stop it, because
//! it says nothing about the next read; neither does `EINTR`, which is retried. Bytes that were read before an
//! error are kept. A writer that is faster than the reader cannot keep the drain running beyond the limit.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::unistd::read;

use crate::{Error, Result};

/// Why [`drain`] stopped.
// ANCHOR: stop
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The descriptor has no more bytes now, but may get more: wait until the poller reports it readable.
    WouldBlock,
    /// No more bytes will come: the last descriptor of the write end is closed, or a socket's peer has shut down its side.
    EndOfFile,
    /// The limit is reached, and there may be more bytes already: drain again after serving other descriptors.
    Limit,
}
// ANCHOR_END: stop

/// The size of the buffer of one read, in bytes. It is on the stack, so it is small; a full pipe of 64 KiB takes
/// four reads.
const CHUNK: usize = 16 * 1024;

/// Reads from a nonblocking descriptor until no bytes are left or `limit` bytes are read, and appends them to `into`.
///
/// `limit` is in bytes; bytes that `into` already held do not count. With a limit of 0, nothing is read. On a
/// descriptor that blocks, the last read waits for more bytes or for end of file.
///
/// # Errors
/// The errors of read(2), "ERRORS", except `EAGAIN` and `EINTR`: `EBADF` if the descriptor is not open for reading,
/// `EISDIR` for a directory, `ECONNRESET` if the peer reset the connection, `EIO`. Bytes that were read before the
/// error are in `into`.
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
            // On Linux, EWOULDBLOCK is the same number.
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
