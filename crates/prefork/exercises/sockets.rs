//! Exercise `prefork/sockets`: listen on every address that a host name resolves to.
//!
//! Goal: each address has a socket of its own, with IPv4 and IPv6 apart, and with port 0 all of them share one free
//! port. It takes no given port away, and trying another free port leaves the sockets with given ports alone. An
//! IPv4-mapped address means the IPv4 address; only a link-local one has a scope; and beside a wildcard address, the
//! other addresses of its family with the same port need no socket. An address family that this kernel lacks is
//! skipped; if no address is left, that is an error. Every socket is created close-on-exec and nonblocking. A restarted
//! server gets its port back, and two servers share a port only if both ask for it; even then, a free port is one that no
//! other server has. The file of a Unix socket never has wider permissions than it should, and replaces only a stale
//! socket, which refuses connections. Nothing of the process is changed, such as its umask. An error names the address,
//! and leaves no descriptor open. `nix::sys::socket` has the calls and `sockopt` the options; std resolves names and has
//! the listeners. Run `cargo workbook check sockets` after each change; `hint sockets` if you are stuck.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::Result;

/// Options for listening sockets.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may wait to be accepted. A number above the kernel's limit is capped.
    pub backlog: u16,
    /// Let other sockets that also set this option bind the same port, and get a share of its connections.
    pub reuse_port: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false }
    }
}

/// Listen on every address of a host. The empty name means every address of this machine, in IPv4 and in IPv6. Port 0
/// means a free port, the same for all addresses. A name that does not resolve is EADDRNOTAVAIL.
pub fn bind_host(host: &str, port: u16, options: &Options) -> Result<Vec<TcpListener>> {
    todo!(
        "listen on every address of {host:?}, port {port}, {options:?}: write `bind_host` in exercises/sockets.rs"
    )
}

/// Listen on each of these addresses, once each. Those with port 0 get a free port, the same for all of them. An empty
/// slice is EINVAL.
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    todo!("listen on {addresses:?}, {options:?}: write `bind_all` in exercises/sockets.rs")
}

/// Listen on a Unix socket at a path, with these permissions. A stale socket at the path is replaced.
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    todo!("listen on {path:?} with {permissions:?}, {options:?}: write `bind_unix` in exercises/sockets.rs")
}
