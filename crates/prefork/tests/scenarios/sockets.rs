//! Binding sockets in a process where no other thread opens descriptors, and in a network namespace of its own.
//!
//! Each scenario prints `result Ok` or `result Err ERRNO TEXT`; `at ADDRESS` for each socket; and `left …` for the
//! descriptors that it opened in addition to those sockets and left open.

use std::fmt::Debug;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::{Mode, umask};
use nix::unistd::alarm;
use prefork::sockets::{self, Options};
use testing::{REFUSED, exit_code, judged};

use super::support::net::open_now;

nix::ioctl_write_ptr_bad!(
    /// See netdevice(7).
    set_flags,
    libc::SIOCSIFFLAGS,
    libc::ifreq
);

/// How long a call that must not block may take, in seconds.
const PROMPT: u32 = 4;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    exit_code(match what {
        ["bind", addresses @ ..] => bind(addresses),
        ["unix", path, mode, mask] => unix(Path::new(path), mode, mask),
        ["port-taken-in-ipv6"] => return in_a_network_namespace(port_taken),
        ["without-an-address"] => return in_a_network_namespace(without_an_address),
        _ => Err(format!("no scenario is called {what:?}")),
    })
}

/// `bind ADDRESS …`: call `bind_all` with these addresses.
fn bind(addresses: &[&str]) -> Result<(), String> {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|each| each.parse().map_err(in_words)).collect::<Result<_, String>>()?;
    let before = open_now();
    let result = judged(|| sockets::bind_all(&addresses, &Options::default()));
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

/// Only two ports exist, and the one that the kernel chooses first in IPv4 is taken in IPv6. Also prints `taken PORT`.
fn port_taken() -> Result<(), String> {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001").map_err(in_words)?;
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let taken = first.map_err(in_words)?.port();
    let _taken = TcpListener::bind((Ipv6Addr::LOCALHOST, taken)).map_err(in_words)?;
    println!("taken {taken}");
    bind(&["127.0.0.1:0", "[::1]:0"])
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
