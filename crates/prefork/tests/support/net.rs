//! Sockets as the kernel has them, past the code under test.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, getsockname,
    listen, setsockopt, socket, sockopt,
};

/// Close-on-exec and nonblocking, as /proc/self/fdinfo shows them.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// Is it close-on-exec?
    pub marked: bool,
    /// Is its open file description nonblocking?
    pub nonblocking: bool,
}

/// Ask the kernel about a descriptor.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has the line");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    Info { marked: flags & libc::O_CLOEXEC != 0, nonblocking: flags & libc::O_NONBLOCK != 0 }
}

/// Everything that this process has open, as `NUMBER TARGET`. Only what has one thread may compare two of these.
pub fn open_now() -> Vec<String> {
    let listing = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    let numbers: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    // The one that reads the listing is gone by now.
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

/// How many connections are queued on a TCP listener, and how many may be. See tcp(7), `TCP_INFO`: of a socket
/// that listens, the two fields are about its queue.
#[track_caller]
pub fn queue(listener: impl AsFd) -> (u32, u32) {
    let mut info = [0u32; 8];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes no more than `length` bytes, which are ours, and any bytes are numbers.
    let answer = unsafe {
        libc::getsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(answer).expect("a TCP socket can be asked");
    // tcpi_unacked and tcpi_sacked: six numbers of 32 bits stand before them.
    (info[6], info[7])
}

/// Has this machine IPv6? If not, the test says so, and judges the rest.
pub fn ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        eprintln!("skipped in part: ::1 is no address of this machine");
    }
    has
}

/// A port that nobody else listens on as long as this is there, on both loopback addresses: it is bound here, and
/// since nobody listens on it here, whoever sets SO_REUSEADDR may have it.
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
        // Where the port is taken in IPv6, another.
        for _ in 0..100 {
            let first = hold(Ipv4Addr::LOCALHOST.into(), 0).expect("there is a free port");
            let address: SockaddrStorage = getsockname(first.as_raw_fd()).expect("it is bound");
            let number = address.as_sockaddr_in().expect("it is in IPv4").port();
            match hold(Ipv6Addr::LOCALHOST.into(), number) {
                Ok(second) => return Self { number, _held: vec![first, second] },
                Err(Errno::EADDRINUSE) => {}
                Err(_) => return Self { number, _held: vec![first] },
            }
        }
        panic!("in a hundred tries no port was free in both families");
    }
}

/// A nonblocking Unix socket.
#[track_caller]
pub fn unix() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket can be made")
}

/// A nonblocking Unix listener, at a path or at a name of the kernel's choice, which is no file. On Unix sockets
/// what a client has sent or begun is there when its call comes back, with nothing in between.
#[track_caller]
pub fn unix_listener(path: Option<&Path>, backlog: i32) -> (OwnedFd, UnixAddr) {
    let listener = unix();
    let address = path.map_or_else(UnixAddr::new_unnamed, |path| UnixAddr::new(path).expect("it is short"));
    bind(listener.as_raw_fd(), &address).expect("the name is free");
    listen(&listener, Backlog::new(backlog).expect("it is small")).expect("a bound socket can listen");
    let address = getsockname(listener.as_raw_fd()).expect("it is bound");
    (listener, address)
}

/// A client of it, connected. It blocks no longer than the connection takes.
#[track_caller]
pub fn client(address: &UnixAddr) -> OwnedFd {
    let client = unix();
    connect(client.as_raw_fd(), address).expect("there is room in the queue");
    client
}

/// Wait until it can be read from; whoever waits for what never comes is told so.
#[track_caller]
pub fn readable(fd: impl AsFd, what: &str) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let seen = loop {
        match poll(&mut fds, PollTimeout::from(4000u16)) {
            Err(Errno::EINTR) => {}
            seen => break seen.expect("it can be polled"),
        }
    };
    assert_eq!(seen, 1, "within 4 seconds nothing came: {what}");
}

/// A folder of our own, gone with all that is in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    #[track_caller]
    pub fn new() -> Self {
        Self(
            nix::unistd::mkdtemp(&std::env::temp_dir().join("prefork-XXXXXX")).expect("a folder can be made"),
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
