//! One port for two families of addresses: with one socket, and with one for each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, hang_up, vary};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

/// All addresses of a family.
const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

const QUESTION: Question = Question {
    question: "Can a socket for [::] and a socket for 0.0.0.0 share a port?",
    setup: "A server makes a socket for [::] with IPV6_V6ONLY off, and listens; then it makes one for \
            0.0.0.0 on the same port. SO_REUSEADDR is set on both. What does the second bind return, and \
            which socket gets a client that connects by IPv4?",
    choices: &[
        Choice::new("bind works, and the socket for 0.0.0.0 gets it: each family has ports of its own.")
            .because("The socket for [::] had taken the port in both families: bind gave EADDRINUSE."),
        Choice::new("bind works, and either socket may get it.")
            .because("bind failed with EADDRINUSE, so there was only one socket."),
        Choice::new("EADDRINUSE; the socket for [::] gets it, from the address 127.0.0.1.")
            .because("An IPv6 socket has IPv6 addresses only: accept returned ::ffff:127.0.0.1."),
        Choice::new("EADDRINUSE; the socket for [::] gets it, from the address ::ffff:127.0.0.1."),
    ],
    book: 3,
    shows: "A socket for [::] takes the port in both families, unless IPV6_V6ONLY is set before bind. If a client \
            connects to that socket by IPv4, its address there is an IPv6 address that ends in its IPv4 address. With \
            IPV6_V6ONLY on, the server has a socket for each family, and each client keeps the address of its family.",
    lane: "server",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        can_be_asked()?;
        let choice = both(lab)?;
        other_order(lab)?;
        each(lab)?;
        Ok(choice)
    })
}

/// Check that there are IPv4 and IPv6 loopback addresses. Containers often lack the second.
fn can_be_asked() -> Result {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let probe =
            TcpListener::bind((address, 0)).and_then(|listener| TcpStream::connect(listener.local_addr()?));
        hang_up(probe.map_err(|error| cannot_ask(format!("{address} cannot be used: {error}")))?)?;
    }
    Ok(())
}

/// A socket that listens on all addresses of a family, as servers make it.
fn listen_on(address: IpAddr, port: u16, v6only: bool) -> Result<nix::Result<TcpListener>> {
    // ANCHOR: core
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        // Set explicitly, because the default is a setting of the machine.
        setsockopt(&socket, sockopt::Ipv6V6Only, &v6only)?;
    }
    let backlog = Backlog::new(8)?;
    let outcome = bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, port)));
    Ok(outcome.and_then(|()| listen(&socket, backlog)).map(|()| TcpListener::from(socket)))
    // ANCHOR_END: core
}

fn said<T>(outcome: &nix::Result<T>) -> String {
    outcome.as_ref().map_or_else(|error| format!("{error:?}"), |_| "it works".into())
}

/// Which of the listeners gets a client, and the address that it has there.
fn come(lab: &Lab, by: IpAddr, port: u16, listeners: &[(&str, &TcpListener)]) -> Result<(usize, IpAddr)> {
    let client = TcpStream::connect((by, port))?;
    let mut watched: Vec<_> =
        listeners.iter().map(|(_, listener)| PollFd::new(listener.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut watched, 5000_u16)?;
    let at = watched.iter().position(|watched| watched.any() == Some(true));
    let at = at.ok_or_else(|| format!("no socket gets a client that connects to {by}"))?;
    let (name, listener) = listeners[at];
    let (_, from) = listener.accept()?;
    lab.note(format!("a client connects to {by}: {name} gets it, from {}", from.ip()));
    hang_up(client)?;
    Ok((at, from.ip()))
}

fn both(lab: &Lab) -> Result<usize> {
    let [any4, any6] = ANY;
    let six = listen_on(any6, 0, false)??;
    let port = six.local_addr()?.port();
    lab.note(format!("[::], IPV6_V6ONLY off: listen on port {}", vary("port", port)));
    let four = listen_on(any4, port, false)?;
    lab.note(format!("0.0.0.0, the same port: {}", said(&four)));
    let mut listeners = vec![("[::]", &six)];
    listeners.extend(four.iter().map(|four| ("0.0.0.0", four)));
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let (_, by6) = come(lab, Ipv6Addr::LOCALHOST.into(), port, &listeners)?;
    let (to, by4) = come(lab, Ipv4Addr::LOCALHOST.into(), port, &listeners)?;
    lab.check(by6 == Ipv6Addr::LOCALHOST, "one socket for [::] serves clients of both families");
    match (&four, to) {
        (Ok(_), 1) => Ok(0),
        (Ok(_), _) => Ok(1),
        (Err(Errno::EADDRINUSE), _) if by4 == Ipv4Addr::LOCALHOST => Ok(2),
        (Err(Errno::EADDRINUSE), _) if by4 == mapped => Ok(3),
        other => Err(format!("none of the choices: {other:?}, {by4}").into()),
    }
}

/// The other order: 0.0.0.0 first.
fn other_order(lab: &Lab) -> Result {
    let [any4, any6] = ANY;
    let four = listen_on(any4, 0, false)??;
    let port = four.local_addr()?.port();
    let six = listen_on(any6, port, false)?;
    lab.note(format!("0.0.0.0 first, then [::], IPV6_V6ONLY off: {}", said(&six)));
    lab.check(
        six.err() == Some(Errno::EADDRINUSE),
        "in the other order, the second bind gets EADDRINUSE, too",
    );
    Ok(())
}

/// A socket for each family.
fn each(lab: &Lab) -> Result {
    let [any4, any6] = ANY;
    // A port that is free in one family may be taken in the other, so try several.
    let mut tries = 0;
    let (port, six, four) = loop {
        let six = listen_on(any6, 0, true)??;
        let port = six.local_addr()?.port();
        tries += 1;
        match listen_on(any4, port, false)? {
            Err(Errno::EADDRINUSE) if tries < 20 => {}
            four => break (port, six, four),
        }
    };
    lab.note(format!("[::], IPV6_V6ONLY on: listen on port {}", vary("port", port)));
    lab.note(format!("0.0.0.0, the same port: {}", said(&four)));
    let four = four?;
    let listeners = [("[::]", &six), ("0.0.0.0", &four)];
    let by6 = come(lab, Ipv6Addr::LOCALHOST.into(), port, &listeners)?;
    let by4 = come(lab, Ipv4Addr::LOCALHOST.into(), port, &listeners)?;
    let own = by6 == (0, Ipv6Addr::LOCALHOST.into()) && by4 == (1, Ipv4Addr::LOCALHOST.into());
    lab.check(own, "with IPV6_V6ONLY on, both sockets get the port, each in its own family");
    Ok(())
}
