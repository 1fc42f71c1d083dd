//! Binding sockets in a process where no other thread opens descriptors, and in a network namespace of its own.
//!
//! Each scenario prints `result Ok` or `result Err ERRNO TEXT`; `at ADDRESS` for each socket; and `left …` for the
//! descriptors that it opened in addition to those sockets and left open.

use std::ffi::CString;
use std::fmt::Debug;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{ptr, thread};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::sockopt::ReusePort;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, socket,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{alarm, getpid};
use prefork::sockets::{self, Options};
use testing::{REFUSED, exit_code, judged};

use super::support::net::open_now;

nix::ioctl_write_ptr_bad!(
    /// See netdevice(7).
    set_flags,
    libc::SIOCSIFFLAGS,
    libc::ifreq
);

nix::ioctl_write_ptr_bad!(
    /// See netdevice(7). On an IPv6 socket the request is a `struct in6_ifreq`.
    set_address,
    libc::SIOCSIFADDR,
    libc::in6_ifreq
);

/// How long a call that must not block may take, in seconds.
const PROMPT: u32 = 4;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    exit_code(match what {
        ["bind", addresses @ ..] => bind(addresses),
        ["bind-shared", addresses @ ..] => {
            bind_with(addresses, &Options { reuse_port: true, ..Options::default() })
        }
        ["unix", path, mode, mask] => unix(Path::new(path), mode, mask),
        ["port-taken-in-ipv6"] => return in_a_network_namespace(port_taken),
        ["port-shared-in-ipv6"] => return in_a_network_namespace(port_shared),
        ["free-port-is-given"] => return in_a_network_namespace(free_port_given),
        ["link-local"] => return in_a_network_namespace(|| link_local(&["[fe80::1%1]:0"])),
        ["link-local-beside-the-wildcard"] => {
            return in_a_network_namespace(|| link_local(&["[fe80::1%1]:0", "[::]:0"]));
        }
        ["name-with-two-addresses"] => return name_with_two_addresses(),
        ["without-an-address"] => return in_a_network_namespace(without_an_address),
        _ => Err(format!("no scenario is called {what:?}")),
    })
}

/// `bind ADDRESS …`: call `bind_all` with these addresses.
fn bind(addresses: &[&str]) -> Result<(), String> {
    bind_with(addresses, &Options::default())
}

fn bind_with(addresses: &[&str], options: &Options) -> Result<(), String> {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|each| each.parse().map_err(in_words)).collect::<Result<_, String>>()?;
    let before = open_now();
    let result = judged(|| sockets::bind_all(&addresses, options));
    print(&result);
    for listener in result.iter().flatten() {
        println!("at {}", listener.local_addr().map_err(in_words)?);
    }
    drop(result);
    left(&before);
    Ok(())
}

/// `unix PATH MODE UMASK`, both in octal: call `bind_unix`. An alarm ends a call that blocks.
fn unix(path: &Path, mode: &str, mask: &str) -> Result<(), String> {
    let bits = |text| u32::from_str_radix(text, 8).map(Mode::from_bits_truncate).map_err(in_words);
    let (mode, mask) = (bits(mode)?, bits(mask)?);
    umask(mask);
    let before = open_now();
    alarm::set(PROMPT);
    let result = judged(|| sockets::bind_unix(path, mode, &Options::default()));
    print(&result);
    drop(result);
    println!("umask {:03o}", umask(Mode::empty()));
    left(&before);
    Ok(())
}

/// Leave only two ports. Returns the one that the kernel chooses first.
fn two_ports() -> Result<u16, String> {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001").map_err(in_words)?;
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    Ok(first.map_err(in_words)?.port())
}

/// Only two ports exist, and the one that the kernel chooses first is also given. Also prints `given PORT`.
fn free_port_given() -> Result<(), String> {
    let given = two_ports()?;
    println!("given {given}");
    bind(&["127.0.0.1:0", &format!("127.0.0.1:{given}")])
}

/// The loopback interface, which is number 1, has the address fe80::1: see netdevice(7). Bind these addresses then.
fn link_local(addresses: &[&str]) -> Result<(), String> {
    let s6_addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).octets();
    let request =
        libc::in6_ifreq { ifr6_addr: libc::in6_addr { s6_addr }, ifr6_prefixlen: 64, ifr6_ifindex: 1 };
    let socket = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    let socket = socket.map_err(in_words)?;
    // SAFETY: the request lives until the call returns, and is what the call reads.
    unsafe { set_address(socket.as_raw_fd(), &raw const request) }.map_err(in_words)?;
    // The kernel first marks the address as tentative, and has no event for the end of that.
    while TcpListener::bind(SocketAddrV6::new(s6_addr.into(), 0, 0, 1)).is_err() {
        thread::yield_now();
    }
    bind(addresses)
}

/// The name `twofold` stands for two addresses, in a mount namespace with a file of hosts of its own.
fn name_with_two_addresses() -> i32 {
    let hosts = std::env::temp_dir().join(format!("prefork-hosts-{}", getpid()));
    let made = fs::write(&hosts, "127.0.0.2 twofold\n127.0.0.3 twofold\n").map_err(in_words);
    let made = made.and_then(|()| mount_as_hosts(&hosts).map_err(in_words));
    let _ = fs::remove_file(&hosts);
    if let Err(error) = made {
        eprintln!("a file of hosts of its own: {error}");
        return REFUSED;
    }
    // See host.conf(5), multi.
    let known = ("twofold", 0).to_socket_addrs().map_or(0, Iterator::count);
    if known != 2 {
        eprintln!(
            "this machine's resolver takes {known} of the two addresses that /etc/hosts has for a name"
        );
        return REFUSED;
    }
    let result = sockets::bind_host("twofold", 0, &Options::default());
    print(&result);
    for listener in result.iter().flatten() {
        println!("at {}", listener.local_addr().expect("the socket is bound"));
    }
    0
}

/// Show this file as /etc/hosts to this process alone: see mount_namespaces(7).
fn mount_as_hosts(file: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    let file = CString::new(file.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    for (source, target, flags) in
        [(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE), (&*file, c"/etc/hosts", libc::MS_BIND)]
    {
        // SAFETY: both paths live until the call returns, and a null pointer means no type and no data.
        let mounted =
            unsafe { libc::mount(source.as_ptr(), target.as_ptr(), ptr::null(), flags, ptr::null()) };
        Errno::result(mounted)?;
    }
    Ok(())
}

/// Only two ports exist, and the one that the kernel chooses first in IPv4 is taken in IPv6. Also prints `taken PORT`.
fn port_taken() -> Result<(), String> {
    let taken = two_ports()?;
    let _taken = TcpListener::bind((Ipv6Addr::LOCALHOST, taken)).map_err(in_words)?;
    println!("taken {taken}");
    bind(&["127.0.0.1:0", "[::1]:0"])
}

/// The same, and the socket that has the port shares it with every socket that wants to.
fn port_shared() -> Result<(), String> {
    let shared = two_ports()?;
    let socket = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
    let socket = socket.map_err(in_words)?;
    setsockopt(&socket, ReusePort, &true).map_err(in_words)?;
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, shared));
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(in_words)?;
    socket::listen(&socket, Backlog::MAXCONN).map_err(in_words)?;
    println!("taken {shared}");
    bind_with(&["127.0.0.1:0", "[::1]:0"], &Options { reuse_port: true, ..Options::default() })
}

/// The kernel has IPv6, but it is switched off.
fn without_an_address() -> Result<(), String> {
    fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").map_err(in_words)?;
    bind(&["127.0.0.1:0", "[::1]:0"])
}

/// Run `scenario` in a new network namespace, after its loopback interface was brought up: see network_namespaces(7).
fn in_a_network_namespace(work: fn() -> Result<(), String>) -> i32 {
    let made = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).and_then(|()| loopback_up());
    match made {
        Ok(()) => exit_code(work()),
        Err(error) => {
            eprintln!("a network namespace of its own: {error}");
            REFUSED
        }
    }
}

fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: zeros are valid in every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request lives until the call returns, and has the field that the call reads.
    unsafe { set_flags(socket.as_raw_fd(), &raw const request) }.map(drop)
}

fn print<T: Debug>(result: &prefork::Result<T>) {
    match result {
        Ok(_) => println!("result Ok"),
        Err(error) => println!("result Err {:?} {error}", error.errno),
    }
}

fn left(before: &[String]) {
    let new: Vec<String> = open_now().into_iter().filter(|each| !before.contains(each)).collect();
    println!("left {}", new.join(", "));
}

/// The text of an error that is not under test.
fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
