//! A part of a file on its way to a socket.
//!
//! Contract: the bytes come from an explicit offset, so two responses can share a file, and nothing moves the file's own
//! offset. A partial write is continued where it stopped. When a file ends before all announced bytes are sent, the rest of the
//! response is missing: [`Sent::Short`] says so, and the connection must be closed, or the next response would be taken for
//! the rest of this one.
//!
//! The kernel copies from its page cache into the socket, sendfile(2), and the bytes do not pass through this process. What it
//! cannot send so, such as a file in /proc, is read and written.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::off_t;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, send};
use nix::sys::uio::pread;

/// How many bytes one call of [`FileBody::send`] sends at most. Other connections get their turn after that, even if this
/// client reads as fast as the kernel can copy.
const AT_ONCE: u64 = 1024 * 1024;

/// How many bytes are read at a time where sendfile(2) does not do it.
const COPIED: usize = 16 * 1024;

/// A part of a file: the body of a response.
#[derive(Debug)]
pub struct FileBody {
    /// The file, open for reading.
    pub file: OwnedFd,
    /// Where the bytes that are not sent yet begin.
    pub offset: u64,
    /// How many bytes are not sent yet.
    pub length: u64,
}

/// Why [`FileBody::send`] stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Everything is sent.
    All,
    /// Bytes are left: call again when the poller reports the socket as writable.
    Part,
    /// The file has ended, and bytes are left: it was truncated. Close the connection.
    Short,
}

impl FileBody {
    /// Sends as much as `socket`, a nonblocking one, takes now, and a megabyte at most.
    ///
    /// # Errors
    /// The errors of sendfile(2) and send(2), "ERRORS", except `EAGAIN`, `EINTR`, and `EINVAL`, which says that this file must
    /// be read: `EPIPE` or `ECONNRESET` if the client is gone, `EIO` if the file cannot be read. Rust programs ignore `SIGPIPE`;
    /// in others a client that leaves ends the process here.
    pub fn send(&mut self, socket: impl AsFd) -> Result<Sent, Errno> {
        let socket = socket.as_fd();
        let mut turn = AT_ONCE;
        while self.length > 0 {
            let wanted = self.length.min(turn);
            if wanted == 0 {
                return Ok(Sent::Part);
            }
            let sent = match self.send_some(socket, wanted) {
                Ok(0) => return Ok(Sent::Short),
                Ok(sent) => sent as u64,
                Err(Errno::EAGAIN) => return Ok(Sent::Part),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            };
            self.offset += sent;
            self.length -= sent;
            turn -= sent;
        }
        Ok(Sent::All)
    }

    fn send_some(&self, socket: BorrowedFd<'_>, wanted: u64) -> Result<usize, Errno> {
        let mut offset = off_t::try_from(self.offset).map_err(|_| Errno::EOVERFLOW)?;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        match sendfile(socket, &self.file, Some(&mut offset), wanted) {
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                let mut bytes = [0; COPIED];
                let count = wanted.min(bytes.len());
                let read = pread(&self.file, &mut bytes[..count], offset)?;
                match read {
                    0 => Ok(0),
                    read => send(socket.as_raw_fd(), &bytes[..read], MsgFlags::MSG_NOSIGNAL),
                }
            }
            sent => sent,
        }
    }
}

/// Reads a file from its start: at most `limit` bytes, fewer if the file is shorter. The file's own offset does not move.
///
/// # Errors
/// The errors of pread(2), "ERRORS", except `EINTR`: `EIO` if the file cannot be read, `EISDIR` if it is a folder.
pub fn read_start(file: impl AsFd, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; limit];
    let mut filled = 0;
    while filled < limit {
        match pread(&file, &mut bytes[filled..], filled as off_t) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
