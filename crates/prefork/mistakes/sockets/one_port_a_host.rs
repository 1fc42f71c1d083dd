//! Mistake: the second port of a host is taken for the first one over again.
//! Caught by: the_same_host_with_another_port_is_another_address
//! Message: those are two addresses

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr, ReusePort};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, listen, setsockopt,
    socket,
};
use nix::sys::stat::{Mode, fchmod};

use crate::{Error, Result};

/// How often another port is tried, where one is wanted that is free in every family.
const TRIES: usize = 32;

/// How to bind.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may wait to be accepted, see listen(2). The kernel takes no more than
    /// /proc/sys/net/core/somaxconn, and this module no more than `SOMAXCONN`: 4096 with glibc, 128 with musl.
    pub backlog: u16,
    /// May other sockets with this option have the same port, and a share of its connections? See socket(7),
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false }
    }
}

/// Bind to every address of a host. An empty name is every address of this machine, in IPv4 and in IPv6. Port 0
/// is one that is free, the same for all.
///
/// # Errors
/// `EADDRNOTAVAIL` for a name that stands for nothing, or for no address of this machine; and those of [`bind_all`].
pub fn bind_host(host: &str, port: u16, options: &Options) -> Result<Vec<TcpListener>> {
    let addresses: Vec<SocketAddr> = match host {
        "" => vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()],
        _ => {
            let found = (host, port).to_socket_addrs();
            found.map_err(|error| unknown(host, &error))?.collect()
        }
    };
    bind_all(&addresses, options)
}

/// The resolver has reasons of its own, which are no errno: they go where the name goes.
fn unknown(host: &str, error: &io::Error) -> Error {
    Error::on("getaddrinfo", format_args!("{host:?} ({error})"))(Errno::EADDRNOTAVAIL)
}

/// Bind to each of these addresses, once. Those with port 0 get one that is free, the same for all of them.
///
/// # Errors
/// `EADDRINUSE`; `EACCES` for a port below 1024, see ip(7); `EADDRNOTAVAIL` for what is no address of this machine;
/// `EAFNOSUPPORT` or `EADDRNOTAVAIL` if nothing is left, and `EINVAL` for no address at all. The error names the
/// address.
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    let mut wanted: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        // A resolver may name an address once for each protocol, and once for each line of /etc/hosts.
        if !wanted.iter().any(|other| other.ip() == address.ip()) {
            wanted.push(*address);
        }
    }
    let any = wanted.iter().any(|address| address.port() == 0);
    // A port that turned out to be taken elsewhere stays ours meanwhile: the kernel might give us the same again.
    let mut held = Vec::new();
    loop {
        let mut bound = Vec::new();
        match bind_once(&wanted, options, &mut bound) {
            Ok(()) => return Ok(bound),
            Err(error) if any && error.errno == Errno::EADDRINUSE && held.len() < TRIES => held.push(bound),
            Err(error) => return Err(error),
        }
    }
}

/// The first that is bound where no port is asked for says which one the others get.
fn bind_once(wanted: &[SocketAddr], options: &Options, bound: &mut Vec<TcpListener>) -> Result<()> {
    let mut lacking = Error::on("bind", "no address")(Errno::EINVAL);
    let mut free = 0;
    for address in wanted {
        let mut address = *address;
        if address.port() == 0 {
            address.set_port(free);
        }
        match bind_one(address, options) {
            Ok(socket) => {
                if address.port() == 0 {
                    let local = socket.local_addr().map_err(Error::on_io("getsockname", address))?;
                    free = local.port();
                }
                bound.push(socket);
            }
            Err(error) if is_lacking(address, error.errno) => lacking = error,
            Err(error) => return Err(error),
        }
    }
    if bound.is_empty() { Err(lacking) } else { Ok(()) }
}

/// Is the whole family missing? The kernel may be without it, or have it switched off: then not even its own
/// loopback is an address of this machine.
fn is_lacking(address: SocketAddr, errno: Errno) -> bool {
    match errno {
        Errno::EAFNOSUPPORT => true,
        Errno::EADDRNOTAVAIL => address.ip() == Ipv6Addr::LOCALHOST,
        _ => false,
    }
}

fn bind_one(address: SocketAddr, options: &Options) -> Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family).map_err(Error::on("socket", address))?;
    // A server that is started again finds its port held by connections of its predecessor, in TIME_WAIT.
    setsockopt(&socket, ReuseAddr, &true).map_err(Error::on("setsockopt(SO_REUSEADDR)", address))?;
    if options.reuse_port {
        setsockopt(&socket, ReusePort, &true).map_err(Error::on("setsockopt(SO_REUSEPORT)", address))?;
    }
    if address.is_ipv6() {
        // Without it [::] would take the port in IPv4 too, where the other socket is to have it.
        setsockopt(&socket, Ipv6V6Only, &true).map_err(Error::on("setsockopt(IPV6_V6ONLY)", address))?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(Error::on("bind", address))?;
    listen(&socket, backlog(options.backlog)).map_err(Error::on("listen", address))?;
    Ok(socket.into())
}

fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// nix refuses what is above the kernel's own default limit.
fn backlog(wanted: u16) -> Backlog {
    Backlog::new(wanted).unwrap_or(Backlog::MAXCONN)
}

/// Bind to a path, with these permissions from the first moment on. A socket that is there already is replaced if
/// nobody answers on it: whoever listened there has ended without taking it away.
///
/// Two servers that are started at one moment, over one that is left, may both find it deserted: who must be
/// alone locks a file beside it.
///
/// # Errors
/// `EADDRINUSE` if somebody answers, or if what is there is no socket; `ENAMETOOLONG` from 108 bytes on, see
/// unix(7); `ENOENT`, `EACCES`. The error names the path.
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    let on = |operation| Error::on(operation, path.display());
    let address = UnixAddr::new(path).map_err(on("bind"))?;
    let socket = new_socket(AddressFamily::Unix).map_err(on("socket"))?;
    // The file gets the permissions that the socket has, less the umask: nobody can connect in between.
    fchmod(&socket, permissions).map_err(on("fchmod"))?;
    match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if is_deserted(path, &address) => {
            fs::remove_file(path).map_err(Error::on_io("unlink", path.display()))?;
            bind(socket.as_raw_fd(), &address).map_err(on("bind"))?;
        }
        other => other.map_err(on("bind"))?,
    }
    // What the umask took away is given back.
    fs::set_permissions(path, Permissions::from_mode(permissions.bits()))
        .map_err(Error::on_io("chmod", path.display()))?;
    listen(&socket, backlog(options.backlog)).map_err(on("listen"))?;
    Ok(socket.into())
}

/// Is there a socket at that path on which nobody answers?
fn is_deserted(path: &Path, address: &UnixAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let Ok(probe) = new_socket(AddressFamily::Unix) else { return false };
    // A full queue is EAGAIN, and another kind of socket EPROTOTYPE: those have somebody.
    is_socket && connect(probe.as_raw_fd(), address) == Err(Errno::ECONNREFUSED)
}
