//! Another way for `prefork/sockets`: a builder that owns the sockets bound so far, with the address families one after the other.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr, bind,
    listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};

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
    let addresses = if host.is_empty() {
        vec![
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into(),
            SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into(),
        ]
    } else {
        let found: io::Result<Vec<SocketAddr>> = (host, port).to_socket_addrs().map(Iterator::collect);
        found.map_err(|error| Error::on("getaddrinfo", format!("{host:?}, {error}"))(Errno::EADDRNOTAVAIL))?
    };
    bind_all(&addresses, options)
}

/// Listen on each of these addresses.
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    let (four, six) = by_family(addresses);
    let mut builder = Builder { options, bound: Vec::new(), absent: None, shares_before_bind: true };
    let given = |port: u16| port != 0;
    four.iter().filter(|each| given(each.port())).try_for_each(|each| builder.add_four(*each).map(drop))?;
    six.iter().filter(|each| given(each.port())).try_for_each(|each| builder.add_six(*each).map(drop))?;
    let free_four: Vec<_> = four.into_iter().filter(|each| !given(each.port())).collect();
    let free_six: Vec<_> = six.into_iter().filter(|each| !given(each.port())).collect();
    let kept = builder.bound.len();
    // What a try has bound is kept until the end, so that the kernel chooses another port for the next one.
    let mut discarded = Vec::new();
    loop {
        match builder.add_with_one_port(&free_four, &free_six) {
            Ok(()) => break,
            Err(error) if error.errno == Errno::EADDRINUSE && discarded.len() < 100 => {
                discarded.push(builder.bound.split_off(kept));
            }
            Err(error) => return Err(error),
        }
    }
    let Builder { bound, absent, .. } = builder;
    if bound.is_empty() {
        return Err(absent.unwrap_or_else(|| Error::on("bind", "an empty list")(Errno::EINVAL)));
    }
    Ok(bound)
}

/// The addresses that need a socket, each once.
fn by_family(addresses: &[SocketAddr]) -> (Vec<SocketAddrV4>, Vec<SocketAddrV6>) {
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for address in addresses {
        match *address {
            SocketAddr::V4(address) => four.push(address),
            SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
                Some(ip) => four.push(SocketAddrV4::new(ip, address.port())),
                None => {
                    let scope = if address.ip().is_unicast_link_local() { address.scope_id() } else { 0 };
                    six.push(SocketAddrV6::new(*address.ip(), address.port(), 0, scope));
                }
            },
        }
    }
    let whole: Vec<u16> =
        four.iter().filter(|each| each.ip().is_unspecified()).map(SocketAddrV4::port).collect();
    four.retain(|each| each.ip().is_unspecified() || !whole.contains(&each.port()));
    let whole: Vec<u16> =
        six.iter().filter(|each| each.ip().is_unspecified()).map(SocketAddrV6::port).collect();
    six.retain(|each| each.ip().is_unspecified() || !whole.contains(&each.port()));
    four.sort();
    four.dedup();
    six.sort();
    six.dedup();
    (four, six)
}

struct Builder<'a> {
    options: &'a Options,
    bound: Vec<TcpListener>,
    /// The error of a family that this kernel lacks.
    absent: Option<Error>,
    /// Is SO_REUSEPORT set before bind, which then takes even a port that other servers share?
    shares_before_bind: bool,
}

impl Builder<'_> {
    /// Returns the port.
    fn add_four(&mut self, address: SocketAddrV4) -> Result<u16> {
        let made = new_socket(AddressFamily::Inet).map_err(Error::on("socket", address));
        self.listen(made, &SockaddrIn::from(address), address.into())
    }

    fn add_six(&mut self, address: SocketAddrV6) -> Result<u16> {
        let made = new_socket(AddressFamily::Inet6).map_err(Error::on("socket", address)).and_then(|made| {
            setsockopt(&made, sockopt::Ipv6V6Only, &true)
                .map(|()| made)
                .map_err(Error::on("setsockopt(IPV6_V6ONLY)", address))
        });
        self.listen(made, &SockaddrIn6::from(address), address.into())
    }

    fn listen(
        &mut self,
        made: Result<OwnedFd>,
        native: &dyn SockaddrLike,
        address: SocketAddr,
    ) -> Result<u16> {
        let listening = made.and_then(|made| {
            let on = |call| Error::on(call, address);
            setsockopt(&made, sockopt::ReuseAddr, &true).map_err(on("setsockopt(SO_REUSEADDR)"))?;
            let share = || setsockopt(&made, sockopt::ReusePort, &true).map_err(on("setsockopt(SO_REUSEPORT)"));
            if self.options.reuse_port && self.shares_before_bind {
                share()?;
            }
            bind(made.as_raw_fd(), native).map_err(on("bind"))?;
            if self.options.reuse_port {
                share()?;
            }
            listen(&made, backlog(self.options)).map_err(on("listen"))?;
            Ok(TcpListener::from(made))
        });
        match listening {
            Ok(listener) => {
                let local = listener.local_addr().map_err(Error::on_io("getsockname", address))?;
                self.bound.push(listener);
                Ok(local.port())
            }
            Err(error) if error.errno == Errno::EAFNOSUPPORT => {
                self.absent = Some(error);
                Ok(address.port())
            }
            Err(error) if error.errno == Errno::EADDRNOTAVAIL && address.ip() == Ipv6Addr::LOCALHOST => {
                self.absent = Some(error);
                Ok(address.port())
            }
            Err(error) => Err(error),
        }
    }

    fn add_with_one_port(&mut self, four: &[SocketAddrV4], six: &[SocketAddrV6]) -> Result<()> {
        self.shares_before_bind = false;
        let mut port = 0;
        for address in four {
            port = self.add_four(SocketAddrV4::new(*address.ip(), port))?;
        }
        for address in six {
            port = self.add_six(SocketAddrV6::new(*address.ip(), port, 0, address.scope_id()))?;
        }
        Ok(())
    }
}

fn new_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

fn backlog(options: &Options) -> Backlog {
    Backlog::new(i32::from(options.backlog)).unwrap_or(Backlog::MAXCONN)
}

/// Listen on a Unix socket at a path.
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    let on = |call: &'static str| Error::on(call, path.display());
    let address = UnixAddr::new(path).map_err(on("bind"))?;
    let made = new_socket(AddressFamily::Unix).map_err(on("socket"))?;
    fchmod(made.as_fd(), permissions).map_err(on("fchmod"))?;
    let mut bound = bind(made.as_raw_fd(), &address);
    if bound == Err(Errno::EADDRINUSE) && is_dead(path).map_err(Error::on_io("connect", path.display()))? {
        nix::unistd::unlink(path).map_err(on("unlink"))?;
        bound = bind(made.as_raw_fd(), &address);
    }
    bound.map_err(on("bind"))?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(permissions.bits());
    std::fs::set_permissions(path, permissions).map_err(Error::on_io("chmod", path.display()))?;
    listen(&made, backlog(options)).map_err(on("listen"))?;
    Ok(made.into())
}

/// Is there a socket from which no server accepts?
fn is_dead(path: &Path) -> io::Result<bool> {
    // std's connect would wait for a server whose queue is full.
    let probe = new_socket(AddressFamily::Unix)?;
    let is_socket = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
    let refused = Err(Errno::ECONNREFUSED);
    Ok(is_socket && nix::sys::socket::connect(probe.as_raw_fd(), &UnixAddr::new(path)?) == refused)
}
