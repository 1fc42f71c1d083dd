//! Exercise `prefork/sockets`: every address that a name stands for, bound and listening.
//!
//! Goal: each address has one socket of its own, IPv4 and IPv6 apart, and where no port was asked for they share
//! one. A family that this kernel lacks is left out, and nothing left is an error. Every socket is close-on-exec
//! and nonblocking from birth, a server that is started again gets its port, and nobody else a share of it unasked.
//! A Unix socket's file never has wider permissions than it is to have, and replaces only a socket on which nobody
//! answers. Nothing of the process is changed. On an error, which names the address, no descriptor stays open.
//! `nix::sys::socket` has the calls and `sockopt` the options; std resolves names and has the listeners.
//! Run `cargo run -p workbook check sockets` after each change; `hint sockets` if you are stuck.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::Result;

/// How to bind.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections may wait to be accepted. More than the kernel has room for is no error.
    pub backlog: u16,
    /// May other sockets with this option have the same port, and a share of its connections?
    pub reuse_port: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false }
    }
}

/// Bind to every address of a host. An empty name is every address of this machine, in IPv4 and in IPv6. Port 0
/// is one that is free, the same for all. A name that stands for nothing is EADDRNOTAVAIL.
pub fn bind_host(host: &str, port: u16, options: &Options) -> Result<Vec<TcpListener>> {
    todo!(
        "bind to every address of {host:?}, port {port}, {options:?}: write `bind_host` in exercises/sockets.rs"
    )
}

/// Bind to each of these addresses, once. Those with port 0 get one that is free, the same for all of them. No
/// address at all is EINVAL.
pub fn bind_all(addresses: &[SocketAddr], options: &Options) -> Result<Vec<TcpListener>> {
    todo!("bind to {addresses:?}, {options:?}: write `bind_all` in exercises/sockets.rs")
}

/// Bind to a path, with these permissions. A socket that is there already is replaced if nobody answers on it.
pub fn bind_unix(path: &Path, permissions: Mode, options: &Options) -> Result<UnixListener> {
    todo!("bind to {path:?} with {permissions:?}, {options:?}: write `bind_unix` in exercises/sockets.rs")
}
