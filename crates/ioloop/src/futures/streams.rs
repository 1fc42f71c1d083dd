//! Async accept, connect, read and write.
//!
//! Contract: each operation makes its system call first, so a ready descriptor costs no wait. But if the call before it
//! emptied or filled the kernel's buffer, the operation waits first, so a conversation makes no call that fails with
//! EAGAIN. `read` returns the bytes that are there, and 0 at the end of the file. `write_all` writes all bytes or returns
//! an error; if it is dropped before that, a part is written.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use super::async_fd::AsyncFd;
use crate::{Events, IoLoop};

impl<S> AsyncFd<S> {
    /// Repeat `call` until it does not fail with `EAGAIN`, and wait for `interest` in between. `EINTR` repeats it at once.
    /// `call` should make one system call.
    ///
    /// # Errors
    /// The other errors of `call`; the errors of [`IoLoop::update_handler`]; `EINVAL` for an interest that is neither
    /// [`Events::READ`] nor [`Events::WRITE`].
    pub async fn attempt<T>(
        &self,
        interest: Events,
        mut call: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        if interest != Events::READ && interest != Events::WRITE {
            return Err(Errno::EINVAL.into());
        }
        loop {
            if self.is_exhausted(interest) {
                self.until(interest).await.map_err(io::Error::other)?;
            }
            match call(self.source()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.exhaust(interest),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl<S> AsyncFd<S>
where
    for<'a> &'a S: Read,
{
    /// Read as many bytes as are there, waiting for the first. 0 is the end of the file, or an empty `buffer`.
    ///
    /// # Errors
    /// The errors of read(2), except `EAGAIN` and `EINTR`; the errors of [`IoLoop::update_handler`].
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.attempt(Events::READ, |mut source| source.read(buffer)).await?;
        // Fewer bytes than `buffer` holds: the next call would fail with EAGAIN, so it waits first.
        if read > 0 && read < buffer.len() {
            self.exhaust(Events::READ);
        }
        Ok(read)
    }
}

impl<S> AsyncFd<S>
where
    for<'a> &'a S: Write,
{
    /// Write as many bytes as there is room for, waiting for room. Returns how many were written.
    ///
    /// # Errors
    /// The errors of write(2), except `EAGAIN` and `EINTR`; the errors of [`IoLoop::update_handler`].
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.attempt(Events::WRITE, |mut source| source.write(bytes)).await?;
        // Fewer bytes than were given: there is no more room.
        if written < bytes.len() {
            self.exhaust(Events::WRITE);
        }
        Ok(written)
    }

    /// Write all bytes.
    ///
    /// # Errors
    /// The errors of [`AsyncFd::write`]; `WriteZero` if a write returns 0. After an error, a part may be written.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }
}

impl AsyncFd<TcpListener> {
    /// Accept a client, waiting until one connects. Its socket is close-on-exec and nonblocking.
    ///
    /// # Errors
    /// The errors of accept(2), except `EAGAIN` and `EINTR`; the errors of [`IoLoop::update_handler`].
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (client, address) = self.attempt(Events::READ, TcpListener::accept).await?;
        client.set_nonblocking(true)?;
        Ok((client, address))
    }
}

impl AsyncFd<UnixListener> {
    /// Accept a client, waiting until one connects. Its socket is close-on-exec and nonblocking.
    ///
    /// # Errors
    /// The errors of accept(2), except `EAGAIN` and `EINTR`; the errors of [`IoLoop::update_handler`].
    pub async fn accept(&self) -> io::Result<UnixStream> {
        let (client, _) = self.attempt(Events::READ, UnixListener::accept).await?;
        client.set_nonblocking(true)?;
        Ok(client)
    }
}

impl IoLoop {
    /// Connect to an address without blocking the loop. The socket is close-on-exec, nonblocking, and watched by the loop.
    ///
    /// # Errors
    /// The errors of socket(2) and connect(2), even if they arise while it waits, as `ECONNREFUSED` and `ETIMEDOUT` do; the
    /// errors of [`IoLoop::watch`].
    pub async fn connect(&self, address: SocketAddr) -> io::Result<AsyncFd<TcpStream>> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None)?;
        // Before the loop watches the socket: epoll reports a hang-up for a socket that is not connecting yet.
        let connected = connect(socket.as_raw_fd(), &SockaddrStorage::from(address));
        let stream = self.watch(TcpStream::from(socket)).map_err(io::Error::other)?;
        match connected {
            Ok(()) => return Ok(stream),
            Err(Errno::EINPROGRESS | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        loop {
            stream.writable().await.map_err(io::Error::other)?;
            // A writable socket is connected or has failed; SO_ERROR says which: see connect(2), EINPROGRESS.
            if let Some(error) = stream.source().take_error()? {
                return Err(error);
            }
            match stream.source().peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                other => return other.map(|_| stream),
            }
        }
    }
}
