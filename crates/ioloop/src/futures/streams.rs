//! Accepting, connecting, reading and writing, as operations that wait.
//!
//! Contract: each makes its call at once, unless the call before took all that there was; so what is ready costs no wait, and a
//! conversation costs no call that finds nothing. A read returns what there is, and 0 at the end. A write of all has written all,
//! or an error; if it is dropped on its way, a part is written.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use super::async_fd::AsyncFd;
use crate::{Events, IoLoop};

impl<S> AsyncFd<S> {
    /// Make this call until it does not say that it would block, and wait in between until the descriptor can be read, or
    /// written. The call should make one attempt.
    ///
    /// # Errors
    /// The call's own, and the poller's. `EINVAL` for an interest that is neither [`Events::READ`] nor [`Events::WRITE`].
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
    /// Read what there is, as soon as there is something. 0 is the end, or no room in `buffer`.
    ///
    /// # Errors
    /// Those of read(2), but for `EAGAIN` and `EINTR`; the poller's.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.attempt(Events::READ, |mut source| source.read(buffer)).await?;
        // Less than there was room for: another call would find nothing, so the next one waits first.
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
    /// Write a part, as soon as there is room. How much it was.
    ///
    /// # Errors
    /// Those of write(2), but for `EAGAIN` and `EINTR`; the poller's.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.attempt(Events::WRITE, |mut source| source.write(bytes)).await?;
        // Not all: there is no more room.
        if written < bytes.len() {
            self.exhaust(Events::WRITE);
        }
        Ok(written)
    }

    /// Write all of it.
    ///
    /// # Errors
    /// As [`AsyncFd::write`]; `WriteZero` where nothing is taken anymore. Then a part may be written.
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
    /// Accept a client, as soon as one connects. Its socket is close-on-exec and nonblocking.
    ///
    /// # Errors
    /// Those of accept(2), but for `EAGAIN` and `EINTR`; the poller's.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (client, address) = self.attempt(Events::READ, TcpListener::accept).await?;
        client.set_nonblocking(true)?;
        Ok((client, address))
    }
}

impl AsyncFd<UnixListener> {
    /// As [`AsyncFd::<TcpListener>::accept`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        let (client, _) = self.attempt(Events::READ, UnixListener::accept).await?;
        client.set_nonblocking(true)?;
        Ok(client)
    }
}

impl IoLoop {
    /// Connect to an address, without blocking: the socket is close-on-exec and nonblocking, and the loop watches it.
    ///
    /// # Errors
    /// Those of socket(2) and connect(2), also those that come while it waits: `ECONNREFUSED`, `ETIMEDOUT`. The poller's.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<AsyncFd<TcpStream>> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None)?;
        // Before it is watched: a socket that does not connect yet is hung up.
        let connected = connect(socket.as_raw_fd(), &SockaddrStorage::from(address));
        let stream = self.watch(TcpStream::from(socket)).map_err(io::Error::other)?;
        match connected {
            Ok(()) => return Ok(stream),
            Err(Errno::EINPROGRESS | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        loop {
            stream.writable().await.map_err(io::Error::other)?;
            // Writable says that it is over, and not how: see connect(2), EINPROGRESS.
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
