//! Sockets that the tests make and inspect without the code under test.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, getsockname,
    listen, setsockopt, socket, sockopt,
};
use nix::unistd::mkdtemp;
use testing::machine;

/// Two flags of a descriptor, as /proc/self/fdinfo shows them.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// The descriptor's close-on-exec flag.
    pub close_on_exec: bool,
    /// `O_NONBLOCK` of its open file description.
    pub nonblocking: bool,
}

/// Read the flags of a descriptor.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has a flags line");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    Info { close_on_exec: flags & libc::O_CLOEXEC != 0, nonblocking: flags & libc::O_NONBLOCK != 0 }
}

/// Every open descriptor of this process, as `NUMBER TARGET`. Compare two of these lists only in a process with one
/// thread.
pub fn open_now() -> Vec<String> {
    let listing = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    let numbers: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    // The descriptor that read the directory is closed by now.
    let mut open: Vec<String> = numbers
        .iter()
        .filter_map(|path| {
            let target = fs::read_link(path).ok()?;
            Some(format!("{} {}", path.file_name()?.display(), target.display()))
        })
        .collect();
    open.sort();
    open
}

/// The length and the maximum length of a TCP listener's queue: see tcp(7), `TCP_INFO`. For a listening socket, two of
/// its fields describe the queue.
#[track_caller]
pub fn queue(listener: impl AsFd) -> (u32, u32) {
    let mut info = [0u32; 8];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `info`, and any bytes are valid numbers.
    let answer = unsafe {
        libc::getsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(answer).expect("a TCP socket has TCP_INFO");
    // tcpi_unacked and tcpi_sacked, which follow 24 bytes of other fields.
    (info[6], info[7])
}

/// Does this machine have IPv6? If not, the test is skipped, whatever it judges without.
pub fn ipv6() -> bool {
    machine::ipv6().map_err(testing::skipped).is_ok()
}

/// Reserves a port on both loopback addresses. It is bound with SO_REUSEADDR without listening, so the code under test
/// can bind it if it sets SO_REUSEADDR too, and the kernel gives it to no other program.
pub struct Port {
    pub number: u16,
    _held: Vec<OwnedFd>,
}

impl Port {
    #[track_caller]
    pub fn hold() -> Self {
        let hold = |ip: IpAddr, port: u16| {
            let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let held = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            setsockopt(&held, sockopt::ReuseAddr, &true)?;
            bind(held.as_raw_fd(), &SockaddrStorage::from(SocketAddr::from((ip, port))))?;
            Ok::<_, Errno>(held)
        };
        // If the port is taken in IPv6, try another.
        for _ in 0..100 {
            let first = hold(Ipv4Addr::LOCALHOST.into(), 0).expect("a port is free");
            let address: SockaddrStorage = getsockname(first.as_raw_fd()).expect("the socket is bound");
            let number = address.as_sockaddr_in().expect("the address is IPv4").port();
            match hold(Ipv6Addr::LOCALHOST.into(), number) {
                Ok(second) => return Self { number, _held: vec![first, second] },
                Err(Errno::EADDRINUSE) => {}
                Err(_) => return Self { number, _held: vec![first] },
            }
        }
        panic!("none of a hundred ports was free in both families");
    }
}

/// A nonblocking Unix socket.
#[track_caller]
pub fn unix() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("there are descriptors")
}

/// A nonblocking Unix listener, at a path or at an abstract name that the kernel chooses. When connect or write returns
/// on a Unix socket, the listener has the connection and the bytes already.
#[track_caller]
pub fn unix_listener(path: Option<&Path>, backlog: i32) -> (OwnedFd, UnixAddr) {
    let listener = unix();
    let address =
        path.map_or_else(UnixAddr::new_unnamed, |path| UnixAddr::new(path).expect("the path is short"));
    bind(listener.as_raw_fd(), &address).expect("the address is free");
    listen(&listener, Backlog::new(backlog).expect("the backlog is small"))
        .expect("a bound socket can listen");
    let address = getsockname(listener.as_raw_fd()).expect("the socket is bound");
    (listener, address)
}

/// A connected client of a Unix listener.
#[track_caller]
pub fn client(address: &UnixAddr) -> OwnedFd {
    let client = unix();
    connect(client.as_raw_fd(), address).expect("the queue has room");
    client
}

/// Wait until a descriptor is readable. Panics after 4 seconds, and says what it waited for.
#[track_caller]
pub fn readable(fd: impl AsFd, what: &str) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let seen = loop {
        match poll(&mut fds, PollTimeout::from(4000u16)) {
            Err(Errno::EINTR) => {}
            seen => break seen.expect("a descriptor can be polled"),
        }
    };
    assert_eq!(seen, 1, "nothing became readable within 4 seconds. Expected: {what}");
}

/// A new temporary folder, removed with its contents on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    #[track_caller]
    pub fn new() -> Self {
        Self(
            machine::temporary_folder()
                .and_then(|top| mkdtemp(&top.join("prefork-XXXXXX")).map_err(|error| error.to_string()))
                .expect("a temporary folder can be created"),
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
