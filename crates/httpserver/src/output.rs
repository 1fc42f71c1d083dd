//! The bytes that a connection owes its client, in order: heads, bodies and parts of files.
//!
//! Contract: small pieces are collected and sent with one system call. What the socket does not take is kept, and sent from where
//! it stopped.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send, sendmsg};

use crate::sendfile::{FileBody, Sent};

/// A body that is at most this long is copied behind its head, in bytes. A longer one is sent from where it is.
const COPIED: usize = 8 * 1024;

/// The most pieces of one system call.
const BATCH: usize = 16;

/// From how many pieces on a queue is full.
const PIECES: usize = 8;

/// How much memory an empty queue keeps, in bytes, and how many sent bytes of `tail` may stand before the others.
const KEPT: usize = 4 * 1024;

/// The queue of a connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The pieces before `tail`.
    pieces: VecDeque<Piece>,
    /// The last piece, which grows.
    tail: Vec<u8>,
    /// How many bytes of the first piece are sent; of `tail`, if there is no other.
    sent: usize,
    /// How many bytes are in memory and not sent.
    queued: usize,
}

#[derive(Debug)]
enum Piece {
    Bytes(Cow<'static, [u8]>),
    File(FileBody),
}

/// What a write left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing.
    Empty,
    /// Bytes: write again when the poller reports the socket as writable.
    Blocked,
    /// A file was shorter than announced: close the connection.
    Short,
}

impl Output {
    /// Write to the end of the queue.
    pub(crate) fn append<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let before = self.tail.len();
        let result = write(&mut self.tail);
        self.queued += self.tail.len() - before;
        result
    }

    /// Add a body.
    pub(crate) fn push(&mut self, bytes: Cow<'static, [u8]>) {
        if bytes.len() <= COPIED {
            self.append(|tail| tail.extend_from_slice(&bytes));
        } else {
            self.seal();
            self.queued += bytes.len();
            self.pieces.push_back(Piece::Bytes(bytes));
        }
    }

    /// Add a part of a file. One without bytes is left out: the kernel would wait for it before it sends what precedes it.
    pub(crate) fn push_file(&mut self, file: FileBody) {
        if file.length > 0 {
            self.seal();
            self.pieces.push_back(Piece::File(file));
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.pieces.push_back(Piece::Bytes(tail.into()));
        }
    }

    /// How many bytes are in memory and not sent. A file does not count.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Does it hold more than `limit` bytes, or many pieces, each of which may be an open file?
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.queued > limit || self.pieces.len() > PIECES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Send what the socket takes now. Returns what is left and how many bytes were sent.
    ///
    /// # Errors
    /// The errors of send(2) and sendfile(2), except `EAGAIN` and `EINTR`.
    pub(crate) fn flush(&mut self, socket: &impl AsFd) -> Result<(Flushed, u64), Errno> {
        let mut total = 0;
        while !self.is_empty() {
            if let Some(Piece::File(file)) = self.pieces.front_mut() {
                let before = file.length;
                let sent = file.send(socket)?;
                total += before - file.length;
                match sent {
                    Sent::All => drop(self.pieces.pop_front()),
                    Sent::Part => return Ok((Flushed::Blocked, total)),
                    Sent::Short => return Ok((Flushed::Short, total)),
                }
                continue;
            }
            match self.send_bytes(socket) {
                Ok((sent, asked)) => {
                    total += sent as u64;
                    self.taken(sent);
                    if sent < asked {
                        return Ok((Flushed::Blocked, total));
                    }
                }
                Err(Errno::EAGAIN) => return Ok((Flushed::Blocked, total)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok((Flushed::Empty, total))
    }

    /// Send the pieces up to the next file, in one system call. Returns how many bytes were sent, and how many there were.
    fn send_bytes(&self, socket: &impl AsFd) -> Result<(usize, usize), Errno> {
        let fd = socket.as_fd().as_raw_fd();
        if self.pieces.is_empty() {
            let rest = &self.tail[self.sent..];
            return send(fd, rest, MsgFlags::MSG_NOSIGNAL).map(|sent| (sent, rest.len()));
        }
        let mut slices = [IoSlice::new(&[]); BATCH];
        let (mut count, mut asked, mut skip) = (0, 0, self.sent);
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        let tail = [&self.tail];
        let mut pieces = self.pieces.iter();
        let mut tails = tail.iter().filter(|tail| !tail.is_empty());
        while count < BATCH {
            let bytes: &[u8] = match pieces.next() {
                Some(Piece::Bytes(bytes)) => bytes,
                Some(Piece::File(_)) => {
                    // A head and the beginning of its file in one packet.
                    flags |= MsgFlags::from_bits_retain(nix::libc::MSG_MORE);
                    break;
                }
                None => match tails.next() {
                    Some(tail) => tail,
                    None => break,
                },
            };
            slices[count] = IoSlice::new(&bytes[skip..]);
            asked += bytes.len() - skip;
            (count, skip) = (count + 1, 0);
        }
        sendmsg::<()>(fd, &slices[..count], &[], flags, None).map(|sent| (sent, asked))
    }

    /// Forget bytes that were sent.
    fn taken(&mut self, mut count: usize) {
        self.queued -= count;
        while let Some(Piece::Bytes(first)) = self.pieces.front() {
            let left = first.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.pieces.pop_front();
        }
        self.sent += count;
        if self.pieces.is_empty() && self.sent == self.tail.len() {
            self.sent = 0;
            self.tail.clear();
            self.tail.shrink_to(KEPT);
        } else if self.pieces.is_empty() && self.sent > KEPT && self.sent >= self.tail.len() / 2 {
            // A client that never takes the whole queue must not make it grow. Fewer bytes are moved than were sent.
            self.tail.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_bytes_are_freed_even_if_the_queue_never_becomes_empty() {
        const PART: usize = 60 * 1024;
        let mut output = Output::default();
        output.append(|tail| tail.extend_from_slice(&[b'x'; 4 * 1024]));
        for round in 0..200_u8 {
            output.append(|tail| tail.extend_from_slice(&[round; PART]));
            output.taken(PART);
            assert_eq!(output.queued(), 4 * 1024);
            assert!(
                output.tail.capacity() <= 4 * PART,
                "the client has taken all but 4 KiB of {} KiB, and the queue holds {} KiB of memory. Free the sent bytes of \
                 `tail` before all of it is sent, because a client that reads slowly may never take the whole queue",
                (usize::from(round) + 1) * PART / 1024 + 4,
                output.tail.capacity() / 1024
            );
            assert_eq!(output.tail[output.sent..], [round; 4 * 1024], "the last 4 KiB are still to be sent");
        }
    }
}
