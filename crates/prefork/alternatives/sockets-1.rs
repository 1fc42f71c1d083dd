//! Another way for `prefork/sockets`: a sorted set of addresses, recursion for the free port, and the probe of a Unix socket before
//! bind, which makes a file that nobody may use yet.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};

use crate::{Error, Result};

/// Options for listening sockets.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may wait to be accepted.
    pub backlog: u16,
    /// Let other sockets that also set this option bind the same port.
    pub reuse_port: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false }
    }
}

/// Listen on every address of a host.
pub fn bind_host(host: &str, port: u16, options: &Options) -> Result<Vec<TcpListener>> {
    if host.is_empty() {
        let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        return bind_all(&all.map(|ip| (ip, port).into()), options);
    }
    let unknown =
        |reason: String| Error::on("getaddrinfo", format_args!("{host:?}{reason}"))(Errno::EADDRNOTAVAIL);
    let found = (host, port).to_socket_addrs().map_err(|error| unknown(format!(": {error}")))?;
    match found.collect::<Vec<_>>().as_slice() {
        [] => Err(unknown(String::new())),
        addresses => bind_all(addresses, options),
    }
}

/// Listen on each of these addresses.
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    let plain: BTreeSet<SocketAddr> = addresses.iter().map(|address| plain(*address)).collect();
    let is_covered = |address: &&SocketAddr| {
        let all: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        address.ip() != all && plain.contains(&SocketAddr::new(all, address.port()))
    };
    let wanted: Vec<&SocketAddr> = plain.iter().filter(|address| !is_covered(address)).collect();
    let mut refused = None;
    let mut sockets = Vec::new();
    for address in wanted.iter().filter(|address| address.port() != 0) {
        sockets.extend(available(**address, Port::Given, options, &mut refused)?);
    }
    let any: Vec<SocketAddr> =
        wanted.iter().filter(|address| address.port() == 0).map(|each| **each).collect();
    sockets.extend(on_one_port(&any, options, &mut refused, 40)?);
    match sockets.is_empty() {
        false => Ok(sockets),
        true => Err(refused.unwrap_or_else(|| Error::on("bind", "no address")(Errno::EINVAL))),
    }
}

/// An address without what means nothing: the mapping of IPv4, and a scope that is no link's.
fn plain(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(mut six) = address else { return address };
    six.set_flowinfo(0);
    if let Some(four) = six.ip().to_ipv4_mapped() {
        return (four, six.port()).into();
    }
    if !six.ip().is_unicast_link_local() {
        six.set_scope_id(0);
    }
    six.into()
}

/// Listen on all of them with one free port. The sockets of a port that does not do stay open until another does.
fn on_one_port(
    addresses: &[SocketAddr],
    options: &Options,
    refused: &mut Option<Error>,
    tries: usize,
) -> Result<Vec<TcpListener>> {
    let (mut sockets, mut port) = (Vec::<TcpListener>::new(), 0);
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port).with_scope_of(*address);
        match available(address, Port::Free, options, refused) {
            Err(error) if error.errno == Errno::EADDRINUSE && tries > 0 => {
                return on_one_port(addresses, options, refused, tries - 1);
            }
            made => sockets.extend(made?),
        }
        if let (0, Some(first)) = (port, sockets.first()) {
            port = first.local_addr().map_err(Error::on_io("getsockname", address))?.port();
        }
    }
    Ok(sockets)
}

trait WithScope {
    fn with_scope_of(self, other: SocketAddr) -> SocketAddr;
}

impl WithScope for SocketAddr {
    fn with_scope_of(mut self, other: SocketAddr) -> SocketAddr {
        if let (Self::V6(own), Self::V6(other)) = (&mut self, other) {
            own.set_scope_id(other.scope_id());
        }
        self
    }
}

/// When SO_REUSEPORT is set, if it is: bind takes a port that others share only if the option is set before.
#[derive(Clone, Copy, PartialEq)]
enum Port {
    /// Before bind.
    Given,
    /// After bind.
    Free,
}

/// Listen on an address. `None` if the kernel lacks its family.
fn available(
    address: SocketAddr,
    port: Port,
    options: &Options,
    refused: &mut Option<Error>,
) -> Result<Option<TcpListener>> {
    match listener(address, port, options) {
        Err(error)
            if error.errno == Errno::EAFNOSUPPORT
                || error.errno == Errno::EADDRNOTAVAIL && address.ip() == Ipv6Addr::LOCALHOST =>
        {
            *refused = Some(error);
            Ok(None)
        }
        made => made.map(Some),
    }
}

fn listener(address: SocketAddr, port: Port, options: &Options) -> Result<TcpListener> {
    let family = [AddressFamily::Inet, AddressFamily::Inet6][usize::from(address.is_ipv6())];
    let made = stream(family).map_err(Error::on("socket", address))?;
    if address.is_ipv6() {
        setsockopt(&made, sockopt::Ipv6V6Only, &true).map_err(Error::on("setsockopt", address))?;
    }
    let share_if = |now: bool| match now && options.reuse_port {
        true => setsockopt(&made, sockopt::ReusePort, &true).map_err(Error::on("setsockopt", address)),
        false => Ok(()),
    };
    setsockopt(&made, sockopt::ReuseAddr, &true).map_err(Error::on("setsockopt", address))?;
    share_if(port == Port::Given)?;
    bind(made.as_raw_fd(), &SockaddrStorage::from(address)).map_err(Error::on("bind", address))?;
    share_if(port == Port::Free)?;
    listen(&made, backlog(options)).map_err(Error::on("listen", address))?;
    Ok(made.into())
}

fn stream(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}

fn backlog(options: &Options) -> Backlog {
    Backlog::new(options.backlog).unwrap_or(Backlog::MAXCONN)
}

/// Listen on a Unix socket at a path.
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    let shown = path.display();
    let address = UnixAddr::new(path).map_err(Error::on("bind", &shown))?;
    let made = stream(AddressFamily::Unix).map_err(Error::on("socket", &shown))?;
    // With these no user can connect, not even this one.
    fchmod(&made, Mode::empty()).map_err(Error::on("fchmod", &shown))?;
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    if fs::symlink_metadata(path).is_ok_and(is_socket) {
        let probe = stream(AddressFamily::Unix).map_err(Error::on("socket", &shown))?;
        if connect(probe.as_raw_fd(), &address) == Err(Errno::ECONNREFUSED) {
            fs::remove_file(path).map_err(Error::on_io("unlink", &shown))?;
        }
    }
    bind(made.as_raw_fd(), &address).map_err(Error::on("bind", &shown))?;
    fchmodat(AT_FDCWD, path, permissions, FchmodatFlags::FollowSymlink)
        .map_err(Error::on("chmod", &shown))?;
    listen(&made, backlog(options)).map_err(Error::on("listen", &shown))?;
    Ok(made.into())
}
