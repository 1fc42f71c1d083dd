//! Which of the children that wait gets a connection, by how they wait for it.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::ExitCode;

use experiments::{Axis, Choice, Lab, Plot, Prefork, Question, Result, Way, answer, ask, hang_up, vary};
use nix::poll::{PollFd, PollFlags, poll};

const CHILDREN: u8 = 4;
const CLIENTS: usize = 12;

const QUESTION: Question = Question {
    question: "Which waiting child gets a connection: in accept, and with EPOLLEXCLUSIVE?",
    setup: "Four children wait for connections on one listening socket of their parent. Twelve clients \
            connect, each while all four sleep. Which children get them if they block in accept, and which \
            if each watches the socket with EPOLLEXCLUSIVE?",
    choices: &[
        Choice::new("In turn, both times: the child that has waited longest is next.")
            .because("With EPOLLEXCLUSIVE one child got all twelve."),
        Choice::new("In accept in turn; with EPOLLEXCLUSIVE one child gets all twelve."),
        Choice::new("In accept one child gets all twelve; with EPOLLEXCLUSIVE in turn.")
            .because("It is the other way round: accept took turns, and with epoll one child got all."),
        Choice::new("By chance, both times: the kernel wakes all four, and the fastest gets it.").because(
            "The kernel woke one child each time, by a fixed rule: in accept the next in turn, with \
                      EPOLLEXCLUSIVE always the first.",
        ),
    ],
    book: 1,
    shows: "When a child is woken in accept, it leaves the wait queue of the socket, and at its next accept it joins \
            the queue at the end. An epoll keeps its place in that queue, so the kernel always wakes the first epoll \
            whose child sleeps. With SO_REUSEPORT, the client's address and port decide, whether that child sleeps or \
            not.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        lab.note(format!("{CHILDREN} children, {CLIENTS} clients; the child that serves each:"));
        let in_accept = spread(lab, Way::Accept)?;
        let exclusive = spread(lab, Way::Exclusive)?;
        for way in [Way::Level, Way::ReusePort] {
            spread(lab, way)?;
        }
        busy_exclusive(lab)?;
        busy_reuseport(lab)?;
        let mut own = lab.clone();
        lab.draw(|| chart(&mut own))?;
        Ok(match (in_turn(&in_accept), one(&in_accept), in_turn(&exclusive), one(&exclusive)) {
            (true, _, true, _) => 0,
            (true, _, _, true) => 1,
            (_, true, true, _) => 2,
            _ => 3,
        })
    })
}

/// Which child serves each client. The clients come one at a time, each when all children sleep.
fn serve(lab: &Lab, server: &Prefork, clients: usize) -> Result<Vec<u8>> {
    // ANCHOR: core
    let served = (0..clients).map(|_| {
        let child = server.serve(lab)?;
        server.rest()?;
        Ok(child)
    });
    served.collect()
    // ANCHOR_END: core
}

fn spread(lab: &mut Lab, way: Way) -> Result<Vec<u8>> {
    let server = lab.prefork(way, CHILDREN, false)?;
    let served = serve(lab, &server, CLIENTS)?;
    let children = served.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let chance = matches!(way, Way::Level | Way::ReusePort);
    let children = if chance { vary("children", children) } else { children };
    lab.note(format!("{}: {children}", way.name()));
    Ok(served)
}

/// Was each of the children served once, and then again in the same order?
fn in_turn(served: &[u8]) -> bool {
    let n = usize::from(CHILDREN);
    (1..=CHILDREN).all(|child| served[..n].contains(&child))
        && served.iter().zip(&served[n..]).all(|(before, after)| before == after)
}

fn one(served: &[u8]) -> bool {
    served.iter().all(|child| *child == served[0])
}

/// Which child gets the next client while the one that gets all is busy?
fn busy_exclusive(lab: &mut Lab) -> Result {
    let server = lab.prefork(Way::Exclusive, CHILDREN, true)?;
    let (first, busy) = come(lab, &server, 0)?;
    let (second, other) = come(lab, &server, 0)?;
    lab.note(format!("EPOLLEXCLUSIVE: while child {busy} is busy, child {other} gets a client"));
    hang_up(first)?;
    server.rest()?;
    let (third, back) = come(lab, &server, 0)?;
    lab.note(format!("when child {busy} waits again, child {back} gets the next client"));
    lab.check(
        other != busy && back == busy,
        "EPOLLEXCLUSIVE: while the first child is busy, the second gets the client",
    );
    hang_up(second)?;
    hang_up(third)
}

/// Which child gets a client that hashes like one of a child that is busy?
fn busy_reuseport(lab: &mut Lab) -> Result {
    let server = lab.prefork(Way::ReusePort, CHILDREN, true)?;
    // Two of this many clients have the same child.
    let mut seen: Vec<(u16, u8)> = Vec::new();
    let (one, two, busy) = loop {
        let (client, child) = come(lab, &server, 0)?;
        let port = client.local_addr()?.port();
        hang_up(client)?;
        server.rest()?;
        match seen.iter().find(|(_, of)| *of == child) {
            Some((other, _)) => break (*other, port, child),
            None => seen.push((port, child)),
        }
    };
    let busy = vary("child", busy);
    let (first, again) = come(lab, &server, one)?;
    lab.note(format!("SO_REUSEPORT: a client comes from port {}: child {busy}", vary("port", one)));
    lab.check(
        vary("child", again) == busy,
        "SO_REUSEPORT: a client from the same port gets the same child again",
    );
    let mut second = lab.connect_from(two, server.port())?;
    server.rest()?;
    let mut watched = [PollFd::new(second.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut watched, 100_u8)?;
    let seen = if ready == 0 { "no answer" } else { "an answer" };
    lab.note(format!("child {busy} is busy, 3 sleep: {seen} to its next client in 100 ms"));
    hang_up(first)?;
    let after = answer(&mut second)?;
    lab.note(format!("child {busy} waits again, and answers that client"));
    lab.check(
        ready == 0 && after == again,
        "SO_REUSEPORT: a client waits for its child while three others sleep",
    );
    hang_up(second)
}

/// A client that stays, and the child that is busy with it.
fn come(lab: &Lab, server: &Prefork, from: u16) -> Result<(TcpStream, u8)> {
    let mut client = lab.connect_from(from, server.port())?;
    let child = answer(&mut client)?;
    server.rest()?;
    Ok((client, child))
}

/// The shares of more children, the busiest first.
fn chart(lab: &mut Lab) -> Result<Plot> {
    const MORE: u8 = 8;
    const MANY: usize = 400;
    let mut series = Vec::new();
    for (way, name) in Way::ALL.into_iter().zip(["accept", "level", "exclusive", "reuseport"]) {
        let server = lab.prefork(way, MORE, false)?;
        let served = serve(lab, &server, MANY)?;
        let of = |child: u8| served.iter().filter(|served| **served == child).count();
        let mut shares: Vec<_> = (1..=MORE).map(of).collect();
        shares.sort_unstable_by(|a, b| b.cmp(a));
        let points = shares.iter().enumerate();
        series.push((name, points.map(|(i, n)| ((i + 1) as f64, 100.0 * *n as f64 / MANY as f64)).collect()));
    }
    Ok(Plot {
        title: "The share of the connections that each of eight children gets, by how they wait",
        x: Axis::categories("child, the busiest first", "number"),
        y: Axis::linear("share of the connections", "%"),
        series,
    })
}
