//! Listening sockets and clients, on the loopback interface only.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;
use std::{fs, thread};

use nix::libc::{self, c_long, linger};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, listen, setsockopt,
    socket, sockopt,
};

use super::Lab;
use super::state::PATIENCE;
use crate::environment::needs;
use crate::verdict::{Result, cannot_ask};

/// What a server and its clients call.
const SERVING: [c_long; 9] = [
    libc::SYS_socket,
    libc::SYS_setsockopt,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_getsockname,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
];

impl Lab {
    /// A listening socket on a free port of 127.0.0.1, as std makes it: blocking, and close-on-exec.
    pub fn listen(&self) -> Result<TcpListener> {
        reachable()?;
        Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
    }

    /// A socket on 127.0.0.1 that shares its port with others by SO_REUSEPORT, and its port: `port`, or a free one for 0.
    /// It does not listen.
    pub fn beside(&self, port: u16) -> Result<(OwnedFd, u16)> {
        if port == 0 {
            reachable()?;
        }
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
        let port = getsockname::<SockaddrIn>(socket.as_raw_fd())?.port();
        Ok((socket, port))
    }

    /// The same, and it listens.
    pub fn listen_beside(&self, port: u16) -> Result<TcpListener> {
        let (socket, _) = self.beside(port)?;
        listen(&socket, Backlog::new(128)?)?;
        Ok(TcpListener::from(socket))
    }

    /// A client of a port on 127.0.0.1, connected.
    pub fn connect(&self, port: u16) -> Result<TcpStream> {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    /// The same, from the port `from`, or from a free one for 0.
    pub fn connect_from(&self, from: u16, port: u16) -> Result<TcpStream> {
        let [from, to] =
            [from, port].map(|port| SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)));
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &from)?;
        connect(socket.as_raw_fd(), &to)?;
        let client = TcpStream::from(socket);
        client.set_read_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    /// Wait until a client's connection is established at the server's end too, and so in the queue of its listener:
    /// connect returns a moment before that.
    pub fn await_queued(&self, client: &TcpStream) -> Result {
        let [from, port] = [client.local_addr()?.port(), client.peer_addr()?.port()];
        eventually(|| Ok(server_end(from, port)?.is_some_and(|end| end.state == "01")))
    }

    /// Wait until what a client on port `from` has sent to `port` has arrived: its bytes, or its reset. Nothing is
    /// accepted or read meanwhile.
    pub fn await_arrival(&self, from: u16, port: u16) -> Result {
        eventually(|| Ok(server_end(from, port)?.is_none_or(|end| end.unread > 0)))
    }

    /// Wait until a reset has arrived at a client on port `from` that is connected to `port`: from then on the kernel does not
    /// list the client's end any more.
    pub fn await_reset(&self, from: u16, port: u16) -> Result {
        eventually(|| Ok(server_end(port, from)?.is_none()))
    }
}

/// Wait until the end of file that a client on port `from` has sent to `port` has arrived, or the connection is gone.
pub(super) fn await_end_of_file(from: u16, port: u16) -> Result {
    // Until then the state is SYN_RECV (3) or ESTABLISHED (1); then it is CLOSE_WAIT.
    eventually(|| Ok(server_end(from, port)?.is_none_or(|end| end.state != "03" && end.state != "01")))
}

/// Check that the loopback interface is up: if it is down, bind works, but connect does not. And that a server can serve there:
/// where it cannot accept, its clients wait in its queue.
pub(super) fn reachable() -> Result {
    needs(&SERVING)?;
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| TcpStream::connect(l.local_addr()?));
    hang_up(probe.map_err(|error| cannot_ask(format!("127.0.0.1 cannot be used: {error}")))?)
}

/// The server's end of a connection, as the kernel lists it.
struct End {
    /// In hexadecimal; established is 01.
    state: String,
    /// How many bytes wait to be read.
    unread: u64,
}

/// The server's end of a connection; `None` if the kernel does not list it, or does not list it any more.
fn server_end(from: u16, port: u16) -> Result<Option<End>> {
    // Addresses and numbers are in hexadecimal: `0: 0100007F:9A4D 0100007F:C350 01 00000000:00000012 …`
    let [local, remote] = [port, from].map(|port| format!("0100007F:{port:04X}"));
    for line in fs::read_to_string("/proc/net/tcp")?.lines() {
        let columns: Vec<_> = line.split_whitespace().collect();
        if let [_, this, other, state, queues, ..] = columns[..]
            && (this, other) == (&*local, &*remote)
        {
            let (_, unread) = queues.split_once(':').ok_or("a line of /proc/net/tcp without its queues")?;
            return Ok(Some(End { state: state.to_owned(), unread: u64::from_str_radix(unread, 16)? }));
        }
    }
    Ok(None)
}

/// Wait for something that happens soon without any notification.
fn eventually(mut has_come: impl FnMut() -> Result<bool>) -> Result {
    let start = Instant::now();
    while !has_come()? {
        if start.elapsed() > PATIENCE {
            return Err("what the peer has sent has not arrived".into());
        }
        thread::yield_now();
    }
    Ok(())
}

/// Close a connection with a reset: it is gone at once at both ends, without TIME_WAIT.
pub fn hang_up(connection: TcpStream) -> Result {
    setsockopt(&connection, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    Ok(())
}
