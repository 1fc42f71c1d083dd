//! Exercise `prefork/sockets`: addresses, ports, options, unavailable families and Unix sockets.

mod support;

#[path = "scenarios/sockets.rs"]
mod scenarios;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{Backlog, UnixAddr, bind, connect, getsockopt, sockopt};
use nix::sys::stat::Mode;
use prefork::Result;
use prefork::sockets::{Options, bind_all, bind_host, bind_unix};
use support::net::{Folder, Port, client, info, ipv6, queue, readable, unix, unix_listener};
use support::{Answer, ask, traced};
use testing::{Helper, no_child_is_born};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

/// The loopback addresses of the families that this machine has.
fn loopback() -> &'static [SocketAddr] {
    if ipv6() { &[V4, V6] } else { &[V4] }
}

/// Bind addresses that must work.
#[track_caller]
fn bound(addresses: &[SocketAddr]) -> Vec<TcpListener> {
    bind_all(addresses, &Options::default())
        .unwrap_or_else(|error| panic!("bind_all({addresses:?}): {error}"))
}

fn at(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().map(|each| each.local_addr().expect("the socket is bound")).collect()
}

/// The errno and the text of an error, where there must be one.
#[track_caller]
fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) -> (Errno, String) {
    match result {
        Ok(sockets) => panic!("{what} must be an error, and the result is {sockets:?}"),
        Err(error) => (error.errno, error.to_string()),
    }
}

// Addresses

#[test]
fn the_empty_name_means_every_address_in_both_families() {
    testing::needs!(loopback);
    // Where IPv6 is switched off, the kernel has no address ::1, and [::] can be bound all the same.
    let wanted = 1 + usize::from(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok());
    let listeners = bind_host("", 0, &Options::default()).unwrap_or_else(|error| {
        panic!(
            "bind_host(\"\", 0) failed: {error}. A socket on [::] takes the port in IPv4 too, unless IPV6_V6ONLY is \
             set before bind"
        )
    });
    let at = at(&listeners);
    assert_eq!(
        at.len(),
        wanted,
        "there must be one socket for each family, on 0.0.0.0 and on [::]. The sockets are on {at:?}"
    );
    assert!(
        at.iter().all(|each| each.ip().is_unspecified()),
        "these sockets do not cover every address of this machine: {at:?}"
    );
    for (listener, address) in listeners.iter().zip(&at) {
        let loopback = if address.is_ipv4() { V4.ip() } else { V6.ip() };
        if loopback.is_ipv6() && !ipv6() {
            continue;
        }
        let mut client = TcpStream::connect((loopback, address.port())).expect("the server is listening");
        client.write_all(b"?").expect("the client is connected");
        readable(listener, &format!("a client of {loopback}, on the listener at {address}"));
        assert_eq!(
            client.peer_addr().expect("the client is connected").is_ipv4(),
            address.is_ipv4(),
            "the client connected to {address} in the other family"
        );
    }
}

#[test]
fn every_address_of_a_name_is_bound() {
    let resolved = ("localhost", 0).to_socket_addrs().expect("every machine resolves localhost");
    let own = |ip: &IpAddr| TcpListener::bind((*ip, 0)).is_ok();
    let wanted: BTreeSet<_> = resolved.map(|each| each.ip()).filter(own).collect();
    let listeners = bind_host("localhost", 0, &Options::default()).expect("localhost is this machine");
    let seen: Vec<_> = at(&listeners).iter().map(SocketAddr::ip).collect();
    assert_eq!(seen.len(), wanted.len(), "localhost resolves to {wanted:?}, and the sockets are on {seen:?}");
    assert_eq!(BTreeSet::from_iter(seen), wanted, "each address of localhost needs a socket of its own");
}

#[test]
fn every_line_of_the_hosts_file_is_bound() {
    let Some(answer) = alone("name-with-two-addresses") else { return };
    assert_eq!(answer.line("result"), "Ok");
    let at: BTreeSet<&str> = answer.lines("at").filter_map(|at| at.split(':').next()).collect();
    let wanted = BTreeSet::from(["127.0.0.2", "127.0.0.3"]);
    assert_eq!(at, wanted, "a name stands for two addresses, so each needs a socket");
}

#[test]
fn a_host_can_be_an_address() {
    for host in ["127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
        let ip: IpAddr = host.parse().expect("an address");
        if ip.to_canonical().is_ipv6() && !ipv6() {
            continue;
        }
        let backlog = 7;
        let listeners = bind_host(host, 0, &Options { backlog, ..Options::default() });
        let listeners = listeners.unwrap_or_else(|error| panic!("bind_host({host:?}, 0): {error}"));
        let seen: Vec<IpAddr> = at(&listeners).iter().map(SocketAddr::ip).collect();
        assert_eq!(seen, [ip.to_canonical()], "the host is the address {host}");
        assert_eq!(queue(&listeners[0]).1, u32::from(backlog), "bind_host must pass the options on");
    }
    for listener in bind_host("", 0, &Options { backlog: 7, ..Options::default() }).expect("a port is free") {
        assert_eq!(queue(&listener).1, 7, "bind_host must pass the options on for the empty name too");
    }
}

#[test]
fn an_ipv4_mapped_address_means_the_ipv4_address() {
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 0));
    for addresses in [&[mapped][..], &[mapped, V4], &[V4, mapped]] {
        let listeners = bind_all(addresses, &Options::default()).unwrap_or_else(|error| {
            panic!(
                "bind_all({addresses:?}): {error}. {mapped} is 127.0.0.1, written as an IPv6 address. With \
                 IPV6_V6ONLY, bind returns EINVAL for it: bind the IPv4 address"
            )
        });
        let at = at(&listeners);
        assert!(
            matches!(at[..], [one] if one.ip() == V4.ip()),
            "bind_all({addresses:?}) must bind 127.0.0.1, once. The sockets are on {at:?}"
        );
    }
}

#[test]
fn the_mapped_form_of_an_address_is_covered_as_the_address_is() {
    let (any, one) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST);
    let mapped = |ip: Ipv4Addr| SocketAddr::from((ip.to_ipv6_mapped(), 0));
    for addresses in
        [[mapped(any), V4], [V4, mapped(any)], [mapped(any), mapped(one)], [(any, 0).into(), mapped(one)]]
    {
        let result = bind_all(&addresses, &Options::default()).map(|listeners| at(&listeners));
        assert!(
            matches!(&result, Ok(at) if matches!(at[..], [only] if only.ip() == IpAddr::from(any))),
            "::ffff:0.0.0.0 is 0.0.0.0, written as an IPv6 address, so it covers 127.0.0.1 in either form: bind_all({addresses:?}) \
             must bind 0.0.0.0, once, and the result is {result:?}. Convert all addresses before you look for wildcards"
        );
    }
    if !ipv6() {
        return;
    }
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for addresses in [[any, mapped(one)], [mapped(one), any]] {
        let at = at(&bound(&addresses));
        assert!(
            at.len() == 2 && at.iter().any(|each| each.ip() == V4.ip()),
            "{} is 127.0.0.1, which [::] does not cover, so both need a socket. The sockets are on {at:?}. Convert all \
             addresses before you look for wildcards",
            mapped(one)
        );
    }
}

#[test]
fn an_address_that_the_wildcard_covers_needs_no_socket() {
    // As in `a_given_port_is_not_replaced_by_the_free_one`.
    let _alone = testing::no_child_is_born();
    let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
    for (any, one) in any.into_iter().zip(loopback()) {
        let port = Port::hold();
        for number in [0, port.number] {
            let (any, one) = (SocketAddr::from((any, number)), SocketAddr::from((one.ip(), number)));
            for addresses in [[any, one], [one, any]] {
                let listeners = bind_all(&addresses, &Options::default()).unwrap_or_else(|error| {
                    panic!(
                        "bind_all({addresses:?}): {error}. The socket on {any} has the port on every address, {one} \
                         included. So bind returns EADDRINUSE for {one}, though no other program has the port"
                    )
                });
                let at = at(&listeners);
                assert!(
                    matches!(at[..], [one] if one.ip() == any.ip()),
                    "only {any} needs a socket. They are on {at:?}"
                );
            }
        }
    }
    let (first, second) = (Port::hold(), Port::hold());
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, first.number));
    let mut others = vec![
        ((V4.ip(), second.number), "its port differs"),
        ((V4.ip(), 0), "port 0 means another port than the given one"),
    ];
    if ipv6() {
        others.push(((V6.ip(), first.number), "0.0.0.0 has the port in IPv4 only"));
    }
    for (other, why) in others {
        let other = SocketAddr::from(other);
        let at = at(&bound(&[any, other]));
        let has = |wanted: &SocketAddr| {
            at.iter().any(|each| each == wanted || wanted.port() == 0 && each.ip() == wanted.ip())
        };
        assert!(
            at.len() == 2 && has(&any) && has(&other),
            "{any} does not cover {other}, because {why}, so both need a socket. The sockets are on {at:?}"
        );
    }
    let (any, given) =
        (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((V4.ip(), second.number)));
    let at = at(&bound(&[any, given]));
    assert!(
        at.len() == 2 && at.contains(&given),
        "{any} gets some free port, and {given} has a given one, so both need a socket. The sockets are on {at:?}"
    );
}

#[test]
fn the_ipv6_wildcard_covers_a_link_local_address() {
    let Some(answer) = alone("link-local-beside-the-wildcard") else { return };
    let (result, at) = (answer.line("result"), answer.lines("at").collect::<Vec<_>>());
    assert!(
        result == "Ok" && matches!(at[..], [one] if one.starts_with("[::]:")),
        "[::] has the port on every IPv6 address, link-local ones included, so only [::] needs a socket. The result is \
         {result}, and the sockets are on {at:?}"
    );
}

#[test]
fn an_address_that_cannot_be_bound_is_an_error_that_names_it() {
    if !ipv6() {
        return;
    }
    let link_local = "fe80::1".parse().expect("an address");
    let nowhere = SocketAddrV6::new(link_local, 0, 0, 4_000_000_000);
    let last = "febf:ffff::1".parse().expect("an address");
    for (address, errno) in [
        (SocketAddr::from((link_local, 0)), Errno::EINVAL),
        (SocketAddr::from((Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 0)), Errno::EINVAL),
        (nowhere.into(), Errno::ENODEV),
        // The last of the link-local addresses, fe80::/10.
        (SocketAddrV6::new(last, 0, 0, 4_000_000_000).into(), Errno::ENODEV),
    ] {
        let (seen, text) = refused("binding this address", bind_all(&[address], &Options::default()));
        assert_eq!(
            seen, errno,
            "{text}. Every address of fe80::/10, from fe80:: to febf:ffff:…, is link-local and has a scope: one without is \
             EINVAL, and the number of no interface is ENODEV"
        );
        assert!(text.contains(&address.to_string()), "the error does not name the address {address}: {text}");
    }
}

#[test]
fn the_scope_of_a_link_local_address_is_kept() {
    let Some(answer) = alone("link-local") else { return };
    let result = answer.line("result");
    assert_eq!(
        result, "Ok",
        "fe80::1 belongs to the interface with the number 1, and [fe80::1%1]:0 names both: {result}. Keep the scope of \
         a SocketAddrV6"
    );
}

#[test]
fn a_scope_that_means_nothing_makes_no_second_address() {
    if !ipv6() {
        return;
    }
    let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 5, 1).into();
    let result = bind_all(&[V6, scoped], &Options::default()).map(|listeners| at(&listeners));
    assert!(
        matches!(&result, Ok(at) if at.len() == 1),
        "only a link-local address has a scope, so [::1] and {scoped} are one address: {result:?}"
    );
}

#[test]
fn ipv6_sockets_are_ipv6_only() {
    if !ipv6() {
        return;
    }
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for address in [V6, any] {
        let listeners = bound(&[address]);
        let only = getsockopt(&listeners[0], sockopt::Ipv6V6Only).expect("an IPv6 socket has this option");
        assert!(
            only,
            "{address} is not IPV6_V6ONLY: without it, /proc/sys/net/ipv6/bindv6only decides whether the socket takes \
             IPv4 connections too, and a socket on 0.0.0.0 cannot have the same port"
        );
    }
}

#[test]
fn a_duplicate_address_is_bound_once() {
    for reuse_port in [false, true] {
        // A new port each time: a helper between fork and exec may still hold a copy of the last listener.
        let port = Port::hold();
        let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
        let address = SocketAddr::from((V4.ip(), port.number));
        let options = Options { reuse_port, ..Options::default() };
        let result = bind_all(&[address, other, address], &options);
        let listeners = result.unwrap_or_else(|error| {
            panic!("bind_all got {address} twice: {error}. A resolver may return duplicates: bind each address once")
        });
        let at = at(&listeners);
        assert!(
            at.len() == 2 && at.contains(&address) && at.contains(&other),
            "bind_all got {address} twice, and must bind it once. The sockets are on {at:?}"
        );
    }
    let at = at(&bound(&[V4, V4]));
    assert_eq!(
        at.len(),
        1,
        "bind_all got 127.0.0.1:0 twice, and must bind it once. The sockets are on {at:?}"
    );
}

#[test]
fn one_host_with_two_ports_is_two_addresses() {
    let (first, second) = (Port::hold(), Port::hold());
    let wanted = [&first, &second].map(|port| SocketAddr::from((V4.ip(), port.number)));
    assert_eq!(
        BTreeSet::from_iter(at(&bound(&wanted))),
        BTreeSet::from(wanted),
        "127.0.0.1 with two ports makes two addresses, so compare the port too when you look for duplicates"
    );
}

// Ports

#[test]
fn with_port_zero_both_families_share_one_port() {
    if !ipv6() {
        return;
    }
    for addresses in [[V4, V6], [V6, V4]] {
        let at = at(&bound(&addresses));
        let ports: BTreeSet<u16> = at.iter().map(SocketAddr::port).collect();
        assert_eq!(at.len(), 2, "there must be one socket for each family. The sockets are on {at:?}");
        assert_eq!(
            ports.len(),
            1,
            "a client gets one port and tries it in both families, but here each family has another port: {at:?}"
        );
    }
}

#[test]
fn a_given_port_is_bound_in_both_families() {
    let port = Port::hold();
    let wanted: Vec<SocketAddr> = loopback().iter().map(|each| (each.ip(), port.number).into()).collect();
    assert_eq!(BTreeSet::from_iter(at(&bound(&wanted))), BTreeSet::from_iter(wanted));
}

#[test]
fn a_given_port_is_not_replaced_by_the_free_one() {
    // Otherwise the child would have the sockets, too, and keep the port from the next of them.
    let _alone = testing::no_child_is_born();
    let port = Port::hold();
    let asked = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
    let beside = SocketAddr::from((V4.ip(), port.number));
    for addresses in [[V4, asked], [asked, V4], [V4, beside], [beside, V4]] {
        let at = at(&bound(&addresses));
        let asked = addresses.into_iter().find(|each| each.port() != 0).expect("one has a port");
        assert!(
            at.contains(&asked) && at.len() == 2,
            "{asked} has a port, and 127.0.0.1 may have any free one. The sockets are on {at:?}"
        );
    }
}

#[test]
fn a_port_taken_in_the_second_family_is_replaced_by_another() {
    // The port that the first socket got is taken in IPv6: twice for bind, and once for listen.
    for kernel in ["bind6:1=EADDRINUSE,bind6:2=EADDRINUSE", "listen6:1=EADDRINUSE"] {
        let Some(answer) = traced(kernel, &["bind", "127.0.0.1:0", "[::1]:0"]) else { return };
        if !ipv6() {
            return;
        }
        assert_eq!(
            answer.line("result"),
            "Ok",
            "{kernel}: the kernel chose a port that is free in IPv4 and taken in IPv6. The caller asked for any free \
             port, so try another one in both families"
        );
        one_port(&answer);
    }
}

#[test]
fn another_try_does_not_collide_with_the_given_ports() {
    let given = Port::hold();
    let given = format!("127.0.0.2:{}", given.number);
    for addresses in [[&given, "127.0.0.1:0", "[::1]:0"], ["127.0.0.1:0", "[::1]:0", &given]] {
        let scenario = [&["bind"], &addresses[..]].concat();
        let Some(answer) = traced("bind6:1=EADDRINUSE", &scenario) else { return };
        if !ipv6() {
            return;
        }
        let result = answer.line("result");
        assert_eq!(
            result, "Ok",
            "the first free port was taken in IPv6. The next try must not bind {given} once more: the socket of the \
             first try has it. The addresses were {addresses:?}"
        );
    }
}

#[test]
fn the_free_port_is_none_of_the_given_ones() {
    let Some(answer) = alone("free-port-is-given") else { return };
    let result = answer.line("result");
    assert_eq!(
        result,
        "Ok",
        "127.0.0.1 should get the given port {given}, and also a free one. The kernel chose {given} as the free one, \
         so bind returned EADDRINUSE for the given one: bind given ports first",
        given = answer.line("given")
    );
}

#[test]
fn a_port_that_failed_is_not_chosen_again() {
    let Some(answer) = alone("port-taken-in-ipv6") else { return };
    let taken = answer.line("taken");
    assert_eq!(
        answer.line("result"),
        "Ok",
        "only two ports exist here, and {taken} is taken in IPv6. If you close the IPv4 socket before you try again, \
         the kernel chooses the same port again"
    );
    one_port(&answer);
}

#[test]
fn a_free_port_is_shared_with_no_other_server() {
    let Some(answer) = alone("port-shared-in-ipv6") else { return };
    let (shared, result) = (answer.line("taken"), answer.line("result"));
    assert_eq!(
        result, "Ok",
        "only two ports exist here, and another server listens on {shared} in IPv6, with SO_REUSEPORT. The other port \
         is free in both families"
    );
    let joined: Vec<&str> = answer.lines("at").filter(|at| at.ends_with(&format!(":{shared}"))).collect();
    assert!(
        joined.is_empty(),
        "another server listens on {shared} in IPv6, with SO_REUSEPORT. Port 0 means a port that is free, and these \
         sockets are on {shared}: {joined:?}. So each server gets clients of the other one. Set SO_REUSEPORT on a \
         socket with a free port after bind, because bind takes a shared port if the option is set"
    );
    one_port(&answer);
}

#[test]
fn bind_gives_up_when_no_port_is_free_in_both_families() {
    let scenario = ["bind", "127.0.0.1:0", "[::1]:0"];
    let Some(answer) = traced("bind6:*=EADDRINUSE", &scenario) else { return };
    let endless = answer.lines("endless").next().is_some();
    assert!(!endless, "every port is taken in IPv6, and bind_all tries one after the other without end");
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE") && result.contains("[::1]:"),
        "every port is taken in IPv6, so the result must be EADDRINUSE for [::1], and it is {result}"
    );
    nothing_left(&answer);
}

#[track_caller]
fn one_port(answer: &Answer) {
    let at: Vec<SocketAddr> = answer.lines("at").map(|each| each.parse().expect("an address")).collect();
    let ports: BTreeSet<u16> = at.iter().map(SocketAddr::port).collect();
    assert!(
        at.len() == 2 && ports.len() == 1,
        "both families must have the same port. The sockets are on {at:?}"
    );
}

#[track_caller]
fn nothing_left(answer: &Answer) {
    let left = answer.line("left");
    assert_eq!(left, "", "after `{}`, these descriptors are still open: {left}", answer.line("result"));
}

/// Run a scenario in a network namespace of its own. `None` if this machine does not permit that.
#[track_caller]
fn alone(scenario: &str) -> Option<Answer> {
    Helper::new(&["run", scenario]).if_permitted()
}

// Options

#[test]
fn every_socket_is_close_on_exec_and_nonblocking() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let unix =
        bind_unix(&folder.path("socket"), Mode::S_IRWXU, &Options::default()).expect("the path is free");
    let listeners = bound(loopback());
    let seen = [info(unix)].into_iter().chain(listeners.iter().map(info));
    for (each, what) in seen.zip(["a Unix socket", "127.0.0.1", "[::1]"]) {
        assert!(
            each.close_on_exec,
            "{what} is not close-on-exec: every program started from now on holds the listener open"
        );
        assert!(
            each.nonblocking,
            "{what} is not nonblocking: if another process accepts the connection first, accept blocks until the next \
             one"
        );
    }
}

#[test]
fn socket_itself_sets_both_flags() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("socket").display().to_string();
    // At a stale socket, the probe is a socket too.
    let stale = folder.path("stale");
    {
        let _alone = no_child_is_born();
        drop(UnixListener::bind(&stale).expect("the path is free"));
    }
    let stale = stale.display().to_string();
    for scenario in [
        &["bind", "127.0.0.1:0", "[::1]:0"][..],
        &["unix", &path, "600", "022"],
        &["unix", &stale, "600", "022"],
    ] {
        let Some(answer) = traced("as-it-is", scenario) else { return };
        let calls: Vec<&str> = answer.lines("call").collect();
        let made: Vec<&&str> = calls.iter().filter(|call| call.starts_with("socket ")).collect();
        assert!(!made.is_empty(), "no socket was made: {calls:?}");
        if let Some(call) = made.iter().find(|call| !call.contains("nonblocking close-on-exec")) {
            panic!(
                "`{call}` made a socket without both flags. Until a later call sets them, a fork and exec in another \
                 thread can inherit the socket: SOCK_CLOEXEC and SOCK_NONBLOCK go into socket(2). The calls were \
                 {calls:?}"
            );
        }
    }
}

#[test]
fn a_restarted_server_gets_its_port() {
    testing::needs!(loopback);
    // No helper may be forked meanwhile: it would have copies of the sockets, so that they stay open.
    let _alone = no_child_is_born();
    let listeners = bound(&[V4]);
    let address = at(&listeners)[0];
    let client = TcpStream::connect(address).expect("the server is listening");
    readable(&listeners[0], "the connected client, in the queue");
    let (connection, _) = listeners[0].accept().expect("a client is queued");
    // The server closes first, so its socket is the one that enters TIME_WAIT.
    drop((connection, listeners));
    assert_eq!((&client).read(&mut [0]).expect("an end of file"), 0);
    drop(client);
    let again = bind_all(&[address], &Options::default());
    assert!(
        again.is_ok(),
        "the restarted server cannot bind {address}: {again:?}. Connections in TIME_WAIT hold the port, unless \
         SO_REUSEADDR is set before bind"
    );
}

#[test]
fn a_port_is_shared_only_on_request() {
    let (alone, shared) = (Options::default(), Options { reuse_port: true, ..Options::default() });
    let first = bind_all(&[V4], &alone).expect("a port is free");
    assert!(
        !getsockopt(&first[0], sockopt::ReusePort).expect("a socket has this option"),
        "SO_REUSEPORT is set without reuse_port: any process of this user can now listen on the same port, and gets a \
         share of the connections"
    );
    let address = at(&first)[0];
    let (errno, _) =
        refused("binding a port that another socket has without SO_REUSEPORT", bind_all(&[address], &shared));
    assert_eq!(errno, Errno::EADDRINUSE);
    let first = bind_all(loopback(), &shared).expect("a port is free");
    let second = bind_all(&at(&first), &shared);
    assert!(
        second.is_ok(),
        "both servers set reuse_port, so they can share the ports, but the second one got {second:?}. Is SO_REUSEPORT \
         set before bind?"
    );
}

#[test]
fn the_backlog_is_the_requested_one() {
    testing::needs!(temporary);
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the file can be read");
    let most: u32 = most.trim().parse().expect("a number");
    let listener = &bind_all(&[V4], &Options::default()).expect("a port is free")[0];
    assert_eq!(queue(listener).1, 128.min(most), "the default backlog is 128");
    for backlog in [1, 7, 100, 200] {
        let options = Options { backlog, ..Options::default() };
        for listener in bind_all(loopback(), &options).expect("a port is free") {
            let (_, room) = queue(&listener);
            assert_eq!(
                room,
                u32::from(backlog).min(most).min(i32::from(Backlog::MAXCONN).cast_unsigned()),
                "listen must get the backlog {backlog}: {listener:?}"
            );
        }
    }
    // The queue of a Unix socket can be measured only with clients. It has room for one more than the backlog.
    let folder = Folder::new();
    let path = folder.path("socket");
    let options = Options { backlog: 2, ..Options::default() };
    let _listener = bind_unix(&path, Mode::S_IRWXU, &options).expect("the path is free");
    let address = UnixAddr::new(&path).expect("the path is short");
    let _queued = [client(&address), client(&address), client(&address)];
    let late = unix();
    let late = connect(late.as_raw_fd(), &address);
    assert_eq!(
        late,
        Err(Errno::EAGAIN),
        "a backlog of 2 is a queue of 3, so the fourth client must get EAGAIN"
    );
}

#[test]
fn a_backlog_above_the_limit_is_capped() {
    let options = Options { backlog: u16::MAX, ..Options::default() };
    let bound = bind_all(&[V4], &options);
    assert!(
        bound.is_ok(),
        "a backlog of {} is above the limit, and must be capped instead of rejected: {bound:?}",
        u16::MAX
    );
}

// Errors

#[test]
fn an_unavailable_family_is_skipped() {
    let port = Port::hold();
    let given = format!("[::1]:{}", port.number);
    for kernel in ["socket6:*=EAFNOSUPPORT", "bind6:*=EADDRNOTAVAIL"] {
        for addresses in [["127.0.0.1:0", "[::1]:0"], ["[::1]:0", "127.0.0.1:0"], ["127.0.0.1:0", &given]] {
            let Some(answer) = traced(kernel, &["bind", addresses[0], addresses[1]]) else { return };
            skipped(&answer, kernel);
        }
    }
    let Some(answer) = alone("without-an-address") else { return };
    skipped(&answer, "disable_ipv6");
}

#[track_caller]
fn skipped(answer: &Answer, kernel: &str) {
    let result = answer.line("result");
    assert_eq!(
        result, "Ok",
        "{kernel}: this kernel lacks IPv6, and IPv4 must still work. EAFNOSUPPORT of socket(2) means that IPv6 is not \
         built in; EADDRNOTAVAIL for ::1 means that it is switched off"
    );
    let at: Vec<&str> = answer.lines("at").collect();
    assert!(
        matches!(at[..], [one] if one.starts_with("127.0.0.1:")),
        "{kernel}: only IPv4 must be bound. The sockets are on {at:?}"
    );
}

#[test]
fn a_missing_address_of_ipv4_is_an_error() {
    let Some(answer) = traced("bind4:*=EADDRNOTAVAIL", &["bind", "127.0.0.1:0", "[::1]:0"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRNOTAVAIL") && result.contains("127.0.0.1"),
        "this machine does not have the address 127.0.0.1. Only for ::1 does EADDRNOTAVAIL say that a family is switched off, \
         so the error must be returned, and the result is {result}"
    );
    nothing_left(&answer);
}

#[test]
fn a_foreign_address_beside_a_skipped_one_is_an_error() {
    let scenario = ["bind", "127.0.0.1:0", "[::1]:0", "[2001:db8::1]:0"];
    let Some(answer) = traced("bind6:*=EADDRNOTAVAIL", &scenario) else { return };
    if !ipv6() {
        return;
    }
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRNOTAVAIL") && result.contains("[2001:db8::1]"),
        "IPv6 is switched off, so ::1 is skipped, and no other address is skipped for that: [2001:db8::1] may be mistyped. The \
         result must be EADDRNOTAVAIL for it, and is {result}"
    );
    nothing_left(&answer);
}

#[test]
fn no_available_family_is_an_error() {
    for kernel in ["socket6:*=EAFNOSUPPORT", "bind6:*=EADDRNOTAVAIL"] {
        let Some(answer) = traced(kernel, &["bind", "[::1]:0"]) else { return };
        let errno = kernel.split_once('=').expect("it contains an errno").1;
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno}")) && result.contains("[::1]"),
            "{kernel}, and there is no other address: without any socket the result must be that error, and it is \
             {result}"
        );
        nothing_left(&answer);
    }
    let (errno, _) = refused("binding an empty slice", bind_all(&[], &Options::default()));
    assert_eq!(errno, Errno::EINVAL);
}

#[test]
fn other_errors_of_ipv6_are_reported() {
    for kernel in [
        "socket6:1=EMFILE",
        "socket6:1=ENFILE",
        "socket6:1=EACCES",
        "socket6:1=EPROTONOSUPPORT",
        "bind6:1=EACCES",
    ] {
        let Some(answer) = traced(kernel, &["bind", "127.0.0.1:0", "[::1]:0"]) else { return };
        let (errno, result) =
            (kernel.split_once('=').expect("it contains an errno").1, answer.line("result"));
        assert!(
            result.starts_with(&format!("Err {errno}")),
            "{kernel} does not mean that IPv6 is unavailable, so it must be returned. The result is {result}"
        );
        nothing_left(&answer);
    }
}

#[test]
fn an_error_of_each_call_is_returned() {
    testing::needs!(loopback);
    for (kernel, address) in [
        ("setsockopt:1=ENOMEM", "[::1]:0"),
        ("setsockopt:2=ENOMEM", "[::1]:0"),
        ("setsockopt:3=ENOMEM", "[::1]:0"),
        ("listen4:1=ENOMEM", "127.0.0.1:0"),
    ] {
        if address.starts_with('[') && !ipv6() {
            continue;
        }
        let Some(answer) = traced(kernel, &["bind-shared", address]) else { return };
        returned(&answer, kernel);
    }
}

#[test]
fn an_error_of_each_call_for_a_unix_socket_is_returned() {
    testing::needs!(temporary);
    for kernel in ["fchmod:1=ENOMEM", "unlink:1=ENOMEM", "bind:2=ENOMEM", "chmod:1=ENOMEM", "listen:1=ENOMEM"]
    {
        let folder = Folder::new();
        let path = folder.path("socket");
        {
            let _alone = no_child_is_born();
            drop(UnixListener::bind(&path).expect("the path is free"));
        }
        let scenario = ["unix", &path.display().to_string(), "700", "022"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        returned(&answer, kernel);
    }
}

/// The call that failed with ENOMEM, if the code made it, is the error.
#[track_caller]
fn returned(answer: &Answer, kernel: &str) {
    let failed = format!(" -> -{}", Errno::ENOMEM as i32);
    let calls: Vec<&str> = answer.lines("call").collect();
    if !calls.iter().any(|call| call.ends_with(&failed)) {
        return;
    }
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOMEM"),
        "{kernel}, and the result is {result}. Without this call the socket is not what the caller wants: it has other \
         permissions, takes other connections, or none. Return each error. The calls were {calls:?}"
    );
    nothing_left(answer);
}

#[test]
fn a_foreign_address_is_an_error_that_names_it() {
    testing::needs!(loopback);
    // 192.0.2.0/24 and 2001:db8::/32 are reserved for documentation, so no machine has these addresses.
    for foreign in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        if foreign.starts_with('[') && !ipv6() {
            return;
        }
        let address = foreign.parse().expect("an address");
        let (errno, text) = refused(foreign, bind_all(&[V4, address], &Options::default()));
        assert_eq!(errno, Errno::EADDRNOTAVAIL, "{text}");
        assert!(
            text.contains(foreign.trim_end_matches("0")),
            "the error does not name the address {foreign}: {text}"
        );
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    let port = Port::hold();
    let taken = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
    let _holder = TcpListener::bind(taken).expect("the test has reserved the port");
    let first = format!("127.0.0.1:{}", port.number);
    let answer = ask(&["run", "bind", &first, &taken.to_string()]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE") && result.contains(&taken.to_string()),
        "another socket listens on {taken}, so the result must be EADDRINUSE with that address, and it is {result}"
    );
    nothing_left(&answer);
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_that_names_it() {
    // A name with a NUL is rejected before any resolver is asked, so the test does not depend on the network.
    let (errno, text) = refused("a name with a NUL", bind_host("no\0name", 80, &Options::default()));
    assert_eq!(errno, Errno::EADDRNOTAVAIL, "{text}");
    assert!(
        text.contains("no\\0name") || text.contains("no\0name"),
        "the error does not contain the name, \"no\\0name\": {text:?}"
    );
}

// Unix sockets

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("the file exists").permissions().mode() & 0o7777
}

#[test]
fn a_unix_socket_gets_its_permissions_under_any_umask() {
    testing::needs!(temporary);
    for (wanted, mask) in [("600", "000"), ("666", "077"), ("660", "022"), ("440", "022"), ("700", "777")] {
        let folder = Folder::new();
        let path = folder.path("socket");
        let answer = ask(&["run", "unix", &path.display().to_string(), wanted, mask]);
        assert_eq!(answer.line("result"), "Ok");
        let seen = format!("{:03o}", mode(&path));
        assert_eq!(seen, wanted, "under umask {mask}, the socket's file must have permissions {wanted}");
        assert_eq!(
            answer.line("umask"),
            mask,
            "the umask has changed: every file that the process creates from now on gets other permissions"
        );
    }
}

#[test]
fn the_permissions_are_never_wider() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("socket").display().to_string();
    let scenario = ["unix", &path, "600", "000"];
    let Some(answer) = traced(&format!("watch={path}"), &scenario) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    for call in &calls {
        let (what, mode) = call
            .split_once(" -> ")
            .map_or(*call, |(what, _)| what)
            .split_once(" | ")
            .expect("the tracer prints both");
        if let Ok(mode) = u32::from_str_radix(mode, 8) {
            assert_eq!(
                mode & !0o600,
                0,
                "after `{what}` the file had {mode:04o}, and should have 0600: at that moment other users can connect. \
                 Set the socket's own permissions before bind. The calls were {calls:?}"
            );
        }
    }
    let listening = calls.iter().find(|call| call.starts_with("listen"));
    assert!(
        listening.is_some_and(|call| call.contains("0600")),
        "the file must have 0600 when listen is called: {calls:?}"
    );
    assert!(
        !calls.iter().any(|call| call.starts_with("umask")),
        "the umask belongs to the whole process, so files that other threads create meanwhile get it too: {calls:?}"
    );
}

#[test]
fn the_permissions_are_never_wider_when_a_stale_socket_is_replaced() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("socket");
    {
        let _alone = no_child_is_born();
        drop(UnixListener::bind(&path).expect("the path is free"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let path = path.display().to_string();
    let Some(answer) = traced(&format!("watch={path}"), &["unix", &path, "600", "000"]) else { return };
    assert_eq!(answer.line("result"), "Ok");
    let calls: Vec<&str> = answer.lines("call").collect();
    let wider = calls.iter().find(|call| {
        let mode = call.split(" | ").nth(1).and_then(|rest| rest.split(' ').next());
        mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).is_some_and(|mode| mode & !0o600 != 0)
    });
    assert_eq!(
        wider, None,
        "a stale socket was replaced, and after this call the new file had wider permissions than 0600: at that moment other \
         users can connect. If you make a second socket for the second bind, set its permissions before, too. The calls were \
         {calls:?}"
    );
}

#[test]
fn a_stale_socket_is_replaced() {
    testing::needs!(temporary);
    let _alone = no_child_is_born();
    let folder = Folder::new();
    let path = folder.path("socket");
    drop(UnixListener::bind(&path).expect("the path is free"));
    let result = bind_unix(&path, Mode::S_IRWXU, &Options::default());
    let listener = result.unwrap_or_else(|error| {
        panic!("the server that created this socket has ended, so its file is stale and must be replaced: {error}")
    });
    let _client = UnixStream::connect(&path).expect("the new server is listening");
    assert!(listener.accept().is_ok(), "the client did not reach the new listener");
}

#[test]
fn a_live_servers_socket_is_not_replaced() {
    testing::needs!(temporary);
    let folder = Folder::new();
    for (name, backlog) in [("a live server", 8), ("a busy server", 0)] {
        let path = folder.path(name);
        let (_server, address) = unix_listener(Some(&path), backlog);
        // A backlog of 0 still has room for one client.
        let _queued = client(&address);
        in_use(&path, name);
    }
    // A datagram socket does not listen, but a program still uses it.
    let path = folder.path("datagrams");
    let _server = UnixDatagram::bind(&path).expect("the path is free");
    in_use(&path, "datagrams");
}

#[test]
fn a_probe_that_fails_leaves_the_file() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("socket");
    let (_server, _) = unix_listener(Some(&path), 8);
    let before = fs::symlink_metadata(&path).expect("the file exists").ino();
    // The second socket of the call is the probe.
    let scenario = ["unix", &path.display().to_string(), "700", "022"];
    let Some(answer) = traced("socket:2=EMFILE", &scenario) else { return };
    let result = answer.line("result");
    assert!(result.starts_with("Err E"), "a live server has the path, and the result is {result}");
    assert!(
        result.starts_with("Err EMFILE"),
        "no descriptor was left for the probe, so nothing says that a server has the path, and the result is {result}. \
         Return the error of the probe: the caller needs a descriptor, and not another path"
    );
    let after = fs::symlink_metadata(&path).map(|file| file.ino());
    assert_eq!(
        after.ok(),
        Some(before),
        "no descriptor was left for the probe, so nothing says that the server is dead, and its file is gone"
    );
}

#[test]
fn a_path_can_have_any_bytes() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("").join(OsStr::from_bytes(b"not UTF-8: \xff"));
    let listener = bind_unix(&path, Mode::S_IRWXU, &Options::default());
    assert!(
        listener.is_ok() && path.exists(),
        "a path is any bytes, and {path:?} was not bound: {listener:?}"
    );
}

#[test]
fn a_socket_between_bind_and_listen_looks_stale() {
    testing::needs!(temporary);
    // No probe can tell such a socket from a stale one. Callers that start at the same moment must lock a file.
    let folder = Folder::new();
    let (server, address) = (unix(), UnixAddr::new(&folder.path("socket")).expect("the path is short"));
    bind(server.as_raw_fd(), &address).expect("the path is free");
    assert_eq!(connect(unix().as_raw_fd(), &address), Err(Errno::ECONNREFUSED));
}

/// bind_unix must return EADDRINUSE, and leave the file as it was.
#[track_caller]
fn in_use(path: &Path, what: &str) {
    let before = fs::symlink_metadata(path).expect("the file exists").ino();
    let result = Helper::new(&["run", "unix", &path.display().to_string(), "700", "022"]).answer();
    let answer = result
        .unwrap_or_else(|words| panic!("{what}: the probe must not block, so make it nonblocking: {words}"));
    let answer = answer.expect("this scenario needs no permission");
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EADDRINUSE"),
        "{what}: the path is in use, so the result must be EADDRINUSE, and it is {result}. A stale socket is a socket \
         whose connect returns ECONNREFUSED; EAGAIN means that a server's queue is full"
    );
    assert!(result.contains(&path.display().to_string()), "the error does not name the path: {result}");
    nothing_left(&answer);
    let after = fs::symlink_metadata(path).map(|file| file.ino());
    assert_eq!(after.ok(), Some(before), "{what}: the file of another program is gone");
}

#[test]
fn a_file_that_is_not_a_socket_is_not_replaced() {
    testing::needs!(temporary);
    let folder = Folder::new();
    let path = folder.path("file");
    File::create(&path).and_then(|mut file| file.write_all(b"precious")).expect("it can be created");
    in_use(&path, "a file");
    assert_eq!(fs::read(&path).expect("the file can be read"), b"precious");
    let path = folder.path("folder");
    fs::create_dir(&path).expect("it can be created");
    in_use(&path, "a folder");
    // A symbolic link to a stale socket must not be replaced.
    let (socket, path) = (folder.path("stale"), folder.path("link"));
    {
        let _alone = no_child_is_born();
        drop(UnixListener::bind(&socket).expect("the path is free"));
    }
    symlink(&socket, &path).expect("it can be created");
    in_use(&path, "a link");
    assert!(fs::symlink_metadata(&socket).is_ok_and(|file| file.file_type().is_socket()));
}

#[test]
fn an_impossible_path_is_an_error_that_names_it() {
    testing::needs!(temporary);
    let folder = Folder::new();
    for (path, errno) in [
        (folder.path(&"x".repeat(108)), Errno::ENAMETOOLONG),
        (folder.path("no-such-folder/socket"), Errno::ENOENT),
        (PathBuf::new(), Errno::ENOENT),
        (folder.path("a\0b"), Errno::EINVAL),
    ] {
        let (seen, text) =
            refused("binding an impossible path", bind_unix(&path, Mode::S_IRWXU, &Options::default()));
        assert_eq!(seen, errno, "{text}");
        assert!(text.contains(&path.display().to_string()), "the error does not name the path: {text}");
    }
}
