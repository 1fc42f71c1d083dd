//! Exercise `prefork/sockets`: what the kernel must show.

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{UnixAddr, bind, connect, getsockopt, sockopt};
use nix::sys::stat::Mode;
use prefork::Result;
use prefork::sockets::{Options, bind_all, bind_host, bind_unix};
use support::net::{Folder, Port, client, info, ipv6, queue, readable, unix, unix_listener};
use support::{Answer, ask, traced};
use testing::{Helper, no_child_is_born};

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

/// Those of the two that this machine has.
fn loopback() -> &'static [SocketAddr] {
    if ipv6() { &[V4, V6] } else { &[V4] }
}

/// Bind, and say what it may mean if that fails.
#[track_caller]
fn bound(addresses: &[SocketAddr]) -> Vec<TcpListener> {
    bind_all(addresses, &Options::default())
        .unwrap_or_else(|error| panic!("bind_all({addresses:?}): {error}"))
}

fn at(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().map(|each| each.local_addr().expect("it is bound")).collect()
}

/// The errno and the text of an error.
#[track_caller]
fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) -> (Errno, String) {
    match result {
        Ok(sockets) => panic!("{what} was to be refused, and the answer is {sockets:?}"),
        Err(error) => (error.errno, error.to_string()),
    }
}

// Which addresses

#[test]
fn the_empty_name_means_every_address_in_both_families() {
    let wanted = loopback().len();
    let listeners = bind_host("", 0, &Options::default()).unwrap_or_else(|error| {
        panic!(
            "an empty name, any free port: {error}. A socket on [::] takes the port in IPv4 too, unless it is told \
             IPV6_V6ONLY before it is bound"
        )
    });
    let at = at(&listeners);
    assert_eq!(at.len(), wanted, "one socket a family, on 0.0.0.0 and on [::]; here are {at:?}");
    assert!(at.iter().all(|each| each.ip().is_unspecified()), "not every address of this machine: {at:?}");
    for (listener, address) in listeners.iter().zip(&at) {
        let loopback = if address.is_ipv4() { V4.ip() } else { V6.ip() };
        let mut client = TcpStream::connect((loopback, address.port())).expect("it listens");
        client.write_all(b"?").expect("it is connected");
        readable(listener, &format!("a client of {loopback} did not come to {address}"));
        assert_eq!(
            client.peer_addr().expect("it is connected").is_ipv4(),
            address.is_ipv4(),
            "{address} answers in the other family"
        );
    }
}

#[test]
fn every_address_of_a_name_is_bound() {
    let resolved = ("localhost", 0).to_socket_addrs().expect("every machine knows localhost");
    let own = |ip: &IpAddr| TcpListener::bind((*ip, 0)).is_ok();
    let wanted: BTreeSet<_> = resolved.map(|each| each.ip()).filter(own).collect();
    let listeners = bind_host("localhost", 0, &Options::default()).expect("it is this machine");
    let seen: Vec<_> = at(&listeners).iter().map(SocketAddr::ip).collect();
    assert_eq!(seen.len(), wanted.len(), "localhost is {wanted:?}, and bound are {seen:?}");
    assert_eq!(BTreeSet::from_iter(seen), wanted, "each address of localhost has a socket of its own");
}

#[test]
fn ipv6_sockets_are_ipv6_only() {
    if !ipv6() {
        return;
    }
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for address in [V6, any] {
        let listeners = bound(&[address]);
        let only = getsockopt(&listeners[0], sockopt::Ipv6V6Only).expect("it is an IPv6 socket");
        assert!(
            only,
            "{address} is not IPV6_V6ONLY: whether it takes IPv4's connections as well is up to \
             /proc/sys/net/ipv6/bindv6only, and a socket on 0.0.0.0 cannot have the same port"
        );
    }
}

#[test]
fn a_duplicate_address_is_bound_once() {
    for reuse_port in [false, true] {
        // A new one each time: a helper that is just being born may have a copy of the last.
        let port = Port::hold();
        let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
        let address = SocketAddr::from((V4.ip(), port.number));
        let options = Options { reuse_port, ..Options::default() };
        let result = bind_all(&[address, other, address], &options);
        let listeners = result.unwrap_or_else(|error| {
            panic!("{address} twice: {error}. A resolver may name an address more than once: bind it once")
        });
        assert_eq!(at(&listeners), [address, other], "{address} was named twice and is to be bound once");
    }
    let at = at(&bound(&[V4, V4]));
    assert_eq!(at.len(), 1, "127.0.0.1:0 was named twice and is to be bound once; here are {at:?}");
}

#[test]
fn one_host_with_two_ports_is_two_addresses() {
    let (first, second) = (Port::hold(), Port::hold());
    let wanted = [&first, &second].map(|port| SocketAddr::from((V4.ip(), port.number)));
    assert_eq!(
        at(&bound(&wanted)),
        wanted,
        "127.0.0.1 was named twice, with two ports: those are two addresses"
    );
}

// Which port

#[test]
fn with_port_zero_both_families_share_one_port() {
    if !ipv6() {
        return;
    }
    for addresses in [[V4, V6], [V6, V4]] {
        let at = at(&bound(&addresses));
        let ports: BTreeSet<u16> = at.iter().map(SocketAddr::port).collect();
        assert_eq!(at.len(), 2, "one socket a family; here are {at:?}");
        assert_eq!(
            ports.len(),
            1,
            "a client is told one port, and tries it in both families. Here each family has one of its own: {at:?}"
        );
    }
}

#[test]
fn a_given_port_is_bound_in_both_families() {
    let port = Port::hold();
    let wanted: Vec<SocketAddr> = loopback().iter().map(|each| (each.ip(), port.number).into()).collect();
    assert_eq!(at(&bound(&wanted)), wanted);
}

#[test]
fn a_given_port_is_not_replaced_by_the_free_one() {
    let port = Port::hold();
    let asked = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
    for addresses in [[V4, asked], [asked, V4]] {
        let at = at(&bound(&addresses));
        assert!(
            at.contains(&asked) && at.len() == 2,
            "{asked} was asked for, and for 127.0.0.1 any port that is free. Bound are {at:?}"
        );
    }
}

#[test]
fn a_port_taken_in_the_second_family_is_replaced_by_another() {
    // Twice the port that the first got is somebody else's in IPv6.
    let kernel = "bind6:1=EADDRINUSE,bind6:2=EADDRINUSE";
    let Some(answer) = traced(kernel, &["sockets", "bind", "127.0.0.1:0", "[::1]:0"]) else { return };
    if !ipv6() {
        return;
    }
    assert_eq!(
        answer.line("result"),
        "Ok",
        "the kernel chose a port that was free in IPv4, and in IPv6 somebody else had it. Nobody asked for that \
         port: another does as well, for both"
    );
    one_port(&answer);
}

#[test]
fn a_port_that_failed_is_not_chosen_again() {
    let Some(answer) = alone("port-taken-in-ipv6") else { return };
    let taken = answer.line("taken");
    assert_eq!(
        answer.line("result"),
        "Ok",
        "there are two ports, and {taken} is taken in IPv6. Whoever gives it back in IPv4 before asking again is \
         given it again"
    );
    one_port(&answer);
}

#[test]
fn bind_gives_up_when_no_port_is_free_in_both_families() {
    let scenario = ["sockets", "bind", "127.0.0.1:0", "[::1]:0"];
    let Some(answer) = traced("bind6:*=EADDRINUSE", &scenario) else { return };
    let endless = answer.lines("endless").next().is_some();
    assert!(!endless, "in IPv6 every port is taken, and it tries one after the other without end");
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE") && result.contains("[::1]:"),
        "in IPv6 every port is taken, and the result is {result}"
    );
    nothing_left(&answer);
}

#[track_caller]
fn one_port(answer: &Answer) {
    let at: Vec<SocketAddr> = answer.lines("at").map(|each| each.parse().expect("an address")).collect();
    let ports: BTreeSet<u16> = at.iter().map(SocketAddr::port).collect();
    assert!(at.len() == 2 && ports.len() == 1, "one port, in both families: bound are {at:?}");
}

#[track_caller]
fn nothing_left(answer: &Answer) {
    let left = answer.line("left");
    assert_eq!(left, "", "after `{}` these are still open: {left}", answer.line("result"));
}

/// On a network of its own; nothing where that cannot be had.
#[track_caller]
fn alone(scenario: &str) -> Option<Answer> {
    Helper::new(&["run", "sockets", scenario]).if_permitted()
}

// Which options

#[test]
fn every_socket_is_close_on_exec_and_nonblocking() {
    let folder = Folder::new();
    let unix =
        bind_unix(&folder.path("socket"), Mode::S_IRWXU, &Options::default()).expect("the path is free");
    let listeners = bound(loopback());
    let seen = [info(unix)].into_iter().chain(listeners.iter().map(info));
    for (each, what) in seen.zip(["a Unix socket", "127.0.0.1", "[::1]"]) {
        assert!(each.marked, "{what} is not close-on-exec: every program started from now on listens too");
        assert!(
            each.nonblocking,
            "{what} is not nonblocking: whoever comes too late for a connection sleeps in accept until the next"
        );
    }
}

#[test]
fn socket_itself_sets_both_flags() {
    let folder = Folder::new();
    let path = folder.path("socket").display().to_string();
    for scenario in
        [&["sockets", "bind", "127.0.0.1:0", "[::1]:0"][..], &["sockets", "unix", &path, "600", "022"]]
    {
        let Some(answer) = traced("as-it-is", scenario) else { return };
        let calls: Vec<&str> = answer.lines("call").collect();
        let made: Vec<&&str> = calls.iter().filter(|call| call.starts_with("socket ")).collect();
        assert!(!made.is_empty(), "no socket was made: {calls:?}");
        if let Some(call) = made.iter().find(|call| !call.contains("nonblocking marked")) {
            panic!(
                "`{call}` made a socket without both flags. Set later, there is a moment in which another thread's \
                 fork and exec carries it off: SOCK_CLOEXEC and SOCK_NONBLOCK go into the call itself. The calls \
                 were {calls:?}"
            );
        }
    }
}

#[test]
fn a_restarted_server_gets_its_port() {
    let _alone = no_child_is_born();
    let listeners = bound(&[V4]);
    let address = at(&listeners)[0];
    let client = TcpStream::connect(address).expect("it listens");
    readable(&listeners[0], "a client that is connected is not queued");
    let (connection, _) = listeners[0].accept().expect("a client is queued");
    // The server closes first, so its end of the connection is the one that lingers.
    drop((connection, listeners));
    assert_eq!((&client).read(&mut [0]).expect("the end of the file"), 0);
    drop(client);
    let again = bind_all(&[address], &Options::default());
    assert!(
        again.is_ok(),
        "the server ended, and its successor cannot have {address}: {again:?}. The port is held by connections in \
         TIME_WAIT, unless SO_REUSEADDR is set before bind"
    );
}

#[test]
fn a_port_is_shared_only_on_request() {
    let (alone, shared) = (Options::default(), Options { reuse_port: true, ..Options::default() });
    let first = bind_all(&[V4], &alone).expect("some port is free");
    assert!(
        !getsockopt(&first[0], sockopt::ReusePort).expect("it is a socket"),
        "nobody asked for SO_REUSEPORT: any process of this user may now listen on the same port, and get a share \
         of the connections"
    );
    let address = at(&first)[0];
    let (errno, _) = refused("a port that somebody listens on", bind_all(&[address], &shared));
    assert_eq!(errno, Errno::EADDRINUSE);
    let first = bind_all(loopback(), &shared).expect("some port is free");
    let second = bind_all(&at(&first), &shared);
    assert!(
        second.is_ok(),
        "both asked for SO_REUSEPORT, for each of their sockets, and still the second has {second:?}"
    );
}

#[test]
fn the_backlog_is_the_requested_one() {
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("it is there");
    let most: u32 = most.trim().parse().expect("a number");
    let listener = &bind_all(&[V4], &Options::default()).expect("some port is free")[0];
    assert_eq!(queue(listener).1, 128.min(most), "untold, listen is to be told 128");
    for backlog in [1, 7, 100] {
        let options = Options { backlog, ..Options::default() };
        for listener in bind_all(loopback(), &options).expect("some port is free") {
            let (_, room) = queue(&listener);
            assert_eq!(room, u32::from(backlog).min(most), "listen was to be told {backlog}: {listener:?}");
        }
    }
    // Of a Unix socket it can be seen only from outside: there is room for one more than was asked for.
    let folder = Folder::new();
    let path = folder.path("socket");
    let options = Options { backlog: 2, ..Options::default() };
    let _listener = bind_unix(&path, Mode::S_IRWXU, &options).expect("the path is free");
    let address = UnixAddr::new(&path).expect("it is short");
    let _queued = [client(&address), client(&address), client(&address)];
    let late = unix();
    let late = connect(late.as_raw_fd(), &address);
    assert_eq!(late, Err(Errno::EAGAIN), "a backlog of 2 is a queue of 3, and the fourth is too many");
}

#[test]
fn a_backlog_above_the_limit_is_capped() {
    let options = Options { backlog: u16::MAX, ..Options::default() };
    let bound = bind_all(&[V4], &options);
    assert!(
        bound.is_ok(),
        "a backlog of {} is more than the kernel gives, and no error: {bound:?}",
        u16::MAX
    );
}

// What is lacking, and what is wrong

#[test]
fn an_unavailable_family_is_skipped() {
    for kernel in ["socket6:*=EAFNOSUPPORT", "bind6:*=EADDRNOTAVAIL"] {
        let scenario = ["sockets", "bind", "127.0.0.1:0", "[::1]:0"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        left_out(&answer, kernel);
        let scenario = ["sockets", "bind", "[::1]:0", "127.0.0.1:0"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        left_out(&answer, kernel);
    }
    let Some(answer) = alone("without-an-address") else { return };
    left_out(&answer, "disable_ipv6");
}

#[track_caller]
fn left_out(answer: &Answer, kernel: &str) {
    let result = answer.line("result");
    assert_eq!(
        result, "Ok",
        "{kernel}: here is no IPv6, and so nobody could listen in IPv4. EAFNOSUPPORT from socket is a kernel without \
         the family; EADDRNOTAVAIL for ::1 is one in which it is switched off"
    );
    let at: Vec<&str> = answer.lines("at").collect();
    assert!(matches!(at[..], [one] if one.starts_with("127.0.0.1:")), "{kernel}: bound are {at:?}");
}

#[test]
fn no_available_family_is_an_error() {
    for kernel in ["socket6:*=EAFNOSUPPORT", "bind6:*=EADDRNOTAVAIL"] {
        let Some(answer) = traced(kernel, &["sockets", "bind", "[::1]:0"]) else { return };
        let errno = kernel.split_once('=').expect("it has one").1;
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno}")) && result.contains("[::1]"),
            "{kernel}, and there was no other address. A server that listens nowhere says {result}"
        );
        nothing_left(&answer);
    }
    let (errno, _) = refused("no address", bind_all(&[], &Options::default()));
    assert_eq!(errno, Errno::EINVAL);
}

#[test]
fn other_errors_of_ipv6_are_reported() {
    for kernel in ["socket6:1=EMFILE", "bind6:1=EACCES"] {
        let Some(answer) = traced(kernel, &["sockets", "bind", "127.0.0.1:0", "[::1]:0"]) else { return };
        let (errno, result) = (kernel.split_once('=').expect("it has one").1, answer.line("result"));
        assert!(
            result.starts_with(&format!("Err {errno}")),
            "{kernel} is no sign that the family is missing, and the result is {result}"
        );
        nothing_left(&answer);
    }
}

#[test]
fn a_foreign_address_is_an_error_that_names_it() {
    // 192.0.2.0/24 and 2001:db8::/32 are for documents, and belong to no machine.
    for foreign in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        if foreign.starts_with('[') && !ipv6() {
            return;
        }
        let address = foreign.parse().expect("an address");
        let (errno, text) = refused(foreign, bind_all(&[V4, address], &Options::default()));
        assert_eq!(errno, Errno::EADDRNOTAVAIL, "{text}");
        assert!(
            text.contains(foreign.trim_end_matches("0")),
            "the message does not say which address: {text}"
        );
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    let port = Port::hold();
    let taken = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
    let _holder = TcpListener::bind(taken).expect("the port is ours");
    let first = format!("127.0.0.1:{}", port.number);
    let answer = ask(&["run", "sockets", "bind", &first, &taken.to_string()]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE") && result.contains(&taken.to_string()),
        "somebody listens on {taken}, and the result is {result}"
    );
    nothing_left(&answer);
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_that_names_it() {
    // One that is not even asked for: nobody's resolver is waited for.
    let (errno, text) = refused("a name with a NUL", bind_host("no\0name", 80, &Options::default()));
    assert_eq!(errno, Errno::EADDRNOTAVAIL, "{text}");
    assert!(text.contains("no\\0name"), "the message does not say which name: {text}");
}

// Unix sockets

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there is a file").permissions().mode() & 0o7777
}

#[test]
fn a_unix_socket_gets_its_permissions_under_any_umask() {
    for (wanted, mask) in [("600", "000"), ("666", "077"), ("660", "022"), ("700", "777")] {
        let folder = Folder::new();
        let path = folder.path("socket");
        let answer = ask(&["run", "sockets", "unix", &path.display().to_string(), wanted, mask]);
        assert_eq!(answer.line("result"), "Ok");
        let seen = format!("{:03o}", mode(&path));
        assert_eq!(seen, wanted, "with umask {mask}, the socket's file was to have {wanted}");
        assert_eq!(
            answer.line("umask"),
            mask,
            "the umask is changed: every file that is made from now on has other permissions"
        );
    }
}

#[test]
fn the_permissions_are_never_wider() {
    let folder = Folder::new();
    let path = folder.path("socket").display().to_string();
    let scenario = ["sockets", "unix", &path, "600", "000"];
    let Some(answer) = traced(&format!("watch={path}"), &scenario) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    for call in &calls {
        let (what, mode) =
            call.split_once(" -> ").map_or(*call, |(what, _)| what).split_once(" | ").expect("both");
        if let Ok(mode) = u32::from_str_radix(mode, 8) {
            assert_eq!(
                mode & !0o600,
                0,
                "behind `{what}` the file had {mode:04o}, where 0600 was wanted: in that moment somebody else can \
                 connect. What has the right permissions before bind? The calls were {calls:?}"
            );
        }
    }
    let listening = calls.iter().find(|call| call.starts_with("listen"));
    assert!(
        listening.is_some_and(|call| call.contains("0600")),
        "at listen they were to be what they should be: {calls:?}"
    );
    assert!(
        !calls.iter().any(|call| call.starts_with("umask")),
        "the umask belongs to the whole process: what another thread makes meanwhile gets it too. {calls:?}"
    );
}

#[test]
fn a_stale_socket_is_replaced() {
    let _alone = no_child_is_born();
    let folder = Folder::new();
    let path = folder.path("socket");
    drop(UnixListener::bind(&path).expect("the path is free"));
    let result = bind_unix(&path, Mode::S_IRWXU, &Options::default());
    let listener = result.unwrap_or_else(|error| {
        panic!("whoever listened here has ended, and a socket's file outlives it. It is nobody's: {error}")
    });
    let _client = UnixStream::connect(&path).expect("somebody listens again");
    assert!(listener.accept().is_ok(), "the client came to somebody else");
}

#[test]
fn a_live_servers_socket_is_not_replaced() {
    let folder = Folder::new();
    for (name, backlog) in [("living", 8), ("busy", 0)] {
        let path = folder.path(name);
        let (_server, address) = unix_listener(Some(&path), backlog);
        // With a backlog of 0 there is room for one.
        let _queued = client(&address);
        taken(&path, name);
    }
    // Another kind of socket is no listener, and somebody's all the same.
    let path = folder.path("datagrams");
    let _server = UnixDatagram::bind(&path).expect("the path is free");
    taken(&path, "datagrams");
}

#[test]
fn a_socket_between_bind_and_listen_looks_stale() {
    // What no probe can know, and no code can mend.
    let folder = Folder::new();
    let (server, address) = (unix(), UnixAddr::new(&folder.path("socket")).expect("it is short"));
    bind(server.as_raw_fd(), &address).expect("the path is free");
    assert_eq!(connect(unix().as_raw_fd(), &address), Err(Errno::ECONNREFUSED));
}

/// It is refused, and the file is what it was.
#[track_caller]
fn taken(path: &Path, what: &str) {
    let before = fs::symlink_metadata(path).expect("there is a file").ino();
    let asked = Helper::new(&["run", "sockets", "unix", &path.display().to_string(), "700", "022"]).answer();
    let answer =
        asked.unwrap_or_else(|words| panic!("{what}: asking whether somebody is there waited: {words}"));
    let answer = answer.expect("only the tracer is ever refused");
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE"),
        "{what}: the path is somebody's, and the result is {result}. Nobody answers only where connect says \
         ECONNREFUSED, and what is there is a socket; EAGAIN is a server whose queue is full"
    );
    assert!(result.contains(&path.display().to_string()), "the message does not say which path: {result}");
    nothing_left(&answer);
    let after = fs::symlink_metadata(path).map(|file| file.ino());
    assert_eq!(after.ok(), Some(before), "{what}: the file is gone, and it was somebody else's");
}

#[test]
fn a_file_that_is_not_a_socket_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("file");
    File::create(&path).and_then(|mut file| file.write_all(b"precious")).expect("it can be made");
    taken(&path, "a file");
    assert_eq!(fs::read(&path).expect("it is there"), b"precious");
    let path = folder.path("folder");
    fs::create_dir(&path).expect("it can be made");
    taken(&path, "a folder");
    // A link to a deserted socket is not the socket.
    let (socket, path) = (folder.path("deserted"), folder.path("link"));
    {
        let _alone = no_child_is_born();
        drop(UnixListener::bind(&socket).expect("the path is free"));
    }
    symlink(&socket, &path).expect("it can be made");
    taken(&path, "a link");
    assert!(fs::symlink_metadata(&socket).is_ok_and(|file| file.file_type().is_socket()));
}

#[test]
fn an_impossible_path_is_an_error_that_names_it() {
    let folder = Folder::new();
    for (path, errno) in [
        (folder.path(&"x".repeat(108)), Errno::ENAMETOOLONG),
        (folder.path("no-such-folder/socket"), Errno::ENOENT),
    ] {
        let (seen, text) = refused("such a path", bind_unix(&path, Mode::S_IRWXU, &Options::default()));
        assert_eq!(seen, errno, "{text}");
        assert!(text.contains(&path.display().to_string()), "the message does not say which path: {text}");
    }
}
