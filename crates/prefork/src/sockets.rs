//! Listening sockets: one for every address that a host name resolves to, or one at a path.
//!
//! Contract: each address has a socket of its own, with IPv4 and IPv6 apart. With port 0, all of them share one port
//! that was free. An address family that the kernel lacks is skipped; if no address is left, that is an error. Every
//! form of an address works, or the error says why not. Every socket is created close-on-exec and nonblocking. After
//! an error no socket stays open.

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

/// How many more ports to try when the kernel's free port is taken in another family.
const TRIES: usize = 32;

/// Options for listening sockets.
// ANCHOR: options
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may wait to be accepted: see listen(2). The kernel caps it at
    /// /proc/sys/net/core/somaxconn, and this module at `SOMAXCONN`: 4096 with glibc, 128 with musl.
    pub backlog: u16,
    /// Let other sockets that also set this option bind the same port, and get a share of its connections. A free port
    /// is never one that others share already. See socket(7), `SO_REUSEPORT`.
    pub reuse_port: bool,
}
// ANCHOR_END: options

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false }
    }
}

/// Listen on every address of a host. The empty name means every address of this machine, in IPv4 and in IPv6. Port 0
/// means a free port, the same for all addresses.
///
/// # Errors
/// `EADDRNOTAVAIL` if the name does not resolve, or resolves to an address that this machine does not have; and those
/// of [`bind_all`].
// ANCHOR: bind_host
pub fn bind_host(host: &str, port: u16, options: &Options) -> Result<Vec<TcpListener>> {
    let addresses: Vec<SocketAddr> = match host {
        "" => vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()],
        _ => {
            let found = (host, port).to_socket_addrs();
            found.map_err(|error| unresolved(host, &error))?.collect()
        }
    };
    bind_all(&addresses, options)
}
// ANCHOR_END: bind_host

/// The error of a name that does not resolve. The resolver's reasons are not errnos, so they follow the name.
fn unresolved(host: &str, error: &io::Error) -> Error {
    Error::on("getaddrinfo", format_args!("{host:?} ({error})"))(Errno::EADDRNOTAVAIL)
}

/// Listen on each of these addresses, once each. Those with port 0 get a free port, the same for all of them. An
/// IPv4-mapped address (`::ffff:127.0.0.1`) means the IPv4 address. An address needs no socket of its own if the list
/// has the wildcard address of its family (`0.0.0.0`, `::`) with the same port. Sockets with a given port come first.
///
/// # Errors
/// The error names the address. See bind(2) and listen(2), "ERRORS".
/// - `EADDRINUSE` if another socket has the port.
/// - `EACCES` for a port below 1024 without the privilege: see ip(7).
/// - `EADDRNOTAVAIL` for an address that this machine does not have.
/// - `EAFNOSUPPORT` or `EADDRNOTAVAIL` if the kernel lacks the family of every address.
/// - `EINVAL` if `addresses` is empty; for a link-local address without a scope (`fe80::1` instead of `fe80::1%eth0`);
///   and for an IPv6 multicast address.
/// - `ENODEV` if a scope is not the number of an interface.
/// - `EMFILE` or `ENFILE` if no descriptor is left.
// ANCHOR: bind_all
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    let (free, given): (Vec<_>, Vec<_>) = wanted(addresses).into_iter().partition(|each| each.port() == 0);
    let mut bound = Vec::new();
    // Given ports come first, and outside of the loop. So the kernel cannot choose one of them as the free port, and a
    // second try does not find one taken by the first.
    let mut skipped = bind_each(&given, options, &mut bound)?;
    // Keep the sockets of a port that did not work for all families: the kernel might choose the same port again.
    let mut held = Vec::new();
    loop {
        let mut tried = Vec::new();
        match bind_each(&free, options, &mut tried) {
            Ok(error) => {
                skipped = skipped.or(error);
                bound.append(&mut tried);
                break;
            }
            Err(error) if error.errno == Errno::EADDRINUSE && held.len() < TRIES => held.push(tried),
            Err(error) => return Err(error),
        }
    }
    let nothing = || skipped.unwrap_or_else(|| Error::on("bind", "no address")(Errno::EINVAL));
    if bound.is_empty() { Err(nothing()) } else { Ok(bound) }
}

/// The addresses that need a socket.
fn wanted(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut wanted: Vec<SocketAddr> = Vec::new();
    for address in addresses.iter().copied().map(canonical) {
        // A resolver may return an address several times, once for each protocol or line of /etc/hosts.
        if !wanted.contains(&address) {
            wanted.push(address);
        }
    }
    // A wildcard socket takes the port of every address, so the kernel would return EADDRINUSE for another one.
    let wildcards: Vec<_> = wanted.iter().filter(|each| each.ip().is_unspecified()).copied().collect();
    let covers = |wildcard: &SocketAddr, address: &SocketAddr| {
        wildcard.is_ipv4() == address.is_ipv4() && wildcard.port() == address.port()
    };
    wanted.retain(|each| each.ip().is_unspecified() || !wildcards.iter().any(|other| covers(other, each)));
    wanted
}

/// The one form of an address. bind returns EINVAL for an IPv4-mapped address if IPV6_V6ONLY is set, and ignores the
/// scope of an address that is not link-local.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(scoped) if scoped.ip().is_unicast_link_local() => address,
        _ => SocketAddr::new(address.ip().to_canonical(), address.port()),
    }
}

/// Bind each address. The first one with port 0 gets its port from the kernel, and the others use the same. Returns the
/// error of an address that was skipped.
fn bind_each(
    addresses: &[SocketAddr],
    options: &Options,
    bound: &mut Vec<TcpListener>,
) -> Result<Option<Error>> {
    let (mut free, mut skipped) = (0, None);
    for address in addresses {
        let (mut address, given) = (*address, address.port() != 0);
        if !given {
            address.set_port(free);
        }
        match bind_one(address, given, options) {
            Ok(socket) => {
                if address.port() == 0 {
                    let local = socket.local_addr().map_err(Error::on_io("getsockname", address))?;
                    free = local.port();
                }
                bound.push(socket);
            }
            Err(error) if is_unavailable(address, error.errno) => skipped = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(skipped)
}

/// Is the whole address family unavailable? The kernel may be built without IPv6 (`EAFNOSUPPORT`), or have it switched
/// off: then not even `::1` is an address of this machine (`EADDRNOTAVAIL`).
fn is_unavailable(address: SocketAddr, errno: Errno) -> bool {
    match errno {
        Errno::EAFNOSUPPORT => true,
        Errno::EADDRNOTAVAIL => address.ip() == Ipv6Addr::LOCALHOST,
        _ => false,
    }
}
// ANCHOR_END: bind_all

// ANCHOR: bind_one
fn bind_one(address: SocketAddr, given: bool, options: &Options) -> Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family).map_err(Error::on("socket", address))?;
    // After a restart, connections of the old server in TIME_WAIT still hold the port.
    setsockopt(&socket, ReuseAddr, &true).map_err(Error::on("setsockopt(SO_REUSEADDR)", address))?;
    if options.reuse_port && given {
        setsockopt(&socket, ReusePort, &true).map_err(Error::on("setsockopt(SO_REUSEPORT)", address))?;
    }
    if address.is_ipv6() {
        // Without this, [::] takes the port in IPv4 too, and the bind of 0.0.0.0 fails.
        setsockopt(&socket, Ipv6V6Only, &true).map_err(Error::on("setsockopt(IPV6_V6ONLY)", address))?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(Error::on("bind", address))?;
    // Before its bind, the option would let it take a port that other servers share, which is not free.
    if options.reuse_port && !given {
        setsockopt(&socket, ReusePort, &true).map_err(Error::on("setsockopt(SO_REUSEPORT)", address))?;
    }
    listen(&socket, backlog(options.backlog)).map_err(Error::on("listen", address))?;
    Ok(socket.into())
}
// ANCHOR_END: bind_one

fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// nix rejects a backlog above the kernel's default limit, so cap it there.
fn backlog(wanted: u16) -> Backlog {
    Backlog::new(wanted).unwrap_or(Backlog::MAXCONN)
}

/// Listen on a Unix socket at a path. Its file never has wider permissions than `permissions`.
///
/// A stale socket at the path is replaced: one that a server left behind, and that refuses connections. Two servers
/// that start at the same moment may both find the socket stale. If that can happen, let each lock a file beside it
/// first. After an error, a file that this call created may be left: it is stale, so the next call replaces it.
///
/// # Errors
/// The error names the path. See unix(7) and bind(2), "ERRORS".
/// - `EADDRINUSE` if a server accepts connections there, if this user may not connect, or if it is no socket.
/// - `EMFILE` or `ENFILE` if no descriptor is left for the socket, or for another one that asks for a server.
/// - `ENAMETOOLONG` for a path of 108 bytes or more; `EINVAL` for one with a NUL.
/// - `ENOENT` or `EACCES` if the directory does not exist or may not be written; `ENOENT` for an empty path.
// ANCHOR: bind_unix
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    let on = |operation| Error::on(operation, path.display());
    let address = UnixAddr::new(path).map_err(on("bind"))?;
    let socket = new_socket(AddressFamily::Unix).map_err(on("socket"))?;
    // bind gives the file the permissions of the socket, less the umask. So the file is never open to other users.
    fchmod(&socket, permissions).map_err(on("fchmod"))?;
    match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if is_stale(path, &address)? => {
            fs::remove_file(path).map_err(Error::on_io("unlink", path.display()))?;
            bind(socket.as_raw_fd(), &address).map_err(on("bind"))?;
        }
        other => other.map_err(on("bind"))?,
    }
    // Add the permissions that the umask has removed.
    fs::set_permissions(path, Permissions::from_mode(permissions.bits()))
        .map_err(Error::on_io("chmod", path.display()))?;
    listen(&socket, backlog(options.backlog)).map_err(on("listen"))?;
    Ok(socket.into())
}

/// Is there a socket at this path that refuses connections?
fn is_stale(path: &Path, address: &UnixAddr) -> Result<bool> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let probe = new_socket(AddressFamily::Unix).map_err(Error::on("socket", path.display()))?;
    // EAGAIN (the queue is full) and EPROTOTYPE (another type of socket) mean that a server has the path.
    Ok(is_socket && connect(probe.as_raw_fd(), address) == Err(Errno::ECONNREFUSED))
}
// ANCHOR_END: bind_unix
