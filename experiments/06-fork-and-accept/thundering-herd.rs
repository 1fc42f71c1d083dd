//! How many children one connection wakes, by how they wait for it.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Axis, Child, Choice, Gate, Lab, Plot, Question, Result, Way, ask, hang_up, vary};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{pipe2, read, write};

/// The numbers of children.
const CHILDREN: [u8; 4] = [2, 4, 8, 16];
/// How many clients connect, one after the other.
const CONNECTIONS: usize = 15;

const QUESTION: Question = Question {
    question: "How many waiting children does the kernel wake for one connection?",
    setup: "Sixteen forked children wait for connections on one listening socket of their parent. A client \
            connects. How many of them does the kernel wake if each watches the socket with its own epoll, \
            and how many if they block in accept?",
    choices: &[
        Choice::new("One in both cases: a connection is for one of them.")
            .because("Level-triggered epoll woke all of them."),
        Choice::new("All sixteen in both cases: each of them waits for it.")
            .because("A blocking accept is an exclusive wait: one child woke."),
        Choice::new("All sixteen with an epoll each; one in accept."),
        Choice::new("One with an epoll each; all sixteen in accept.")
            .because("It is the other way round: epoll woke all, and accept one."),
    ],
    book: 2,
    shows: "A blocking accept is an exclusive wait: the kernel wakes one of the waiting processes. A wait in epoll is \
            not exclusive, unless EPOLLEXCLUSIVE is set. If each child has its own socket, only one child waits for \
            each connection. In any case one child gets the connection. If more children wake, the others wake in \
            vain.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        narrated(lab)?;
        lab.note("fork 2, 4, 8, 16 children; how many wake?");
        let mut woken = Vec::new();
        for way in Way::ALL {
            let counted = CHILDREN.iter().map(|n| count(lab, way, *n)).collect::<Result<Vec<_>>>()?;
            let medians: Vec<_> = counted.iter().map(|counted| counted.median.to_string()).collect();
            lab.note(format!("{}: {}", way.name(), medians.join(", ")));
            woken.push(counted);
        }
        let medians = |i: usize| woken[i].iter().map(|counted| counted.median).collect::<Vec<_>>();
        let all = CHILDREN.map(usize::from);
        lab.check(medians(1) == all, "epoll, level-triggered: all children wake for each connection");
        lab.check(medians(0) == [1; 4], "blocking accept: one child wakes, however many wait");
        lab.check(medians(2) == [1; 4], "EPOLLEXCLUSIVE: one child wakes");
        lab.check(medians(3) == [1; 4], "SO_REUSEPORT, a socket for each child: one child wakes");
        let returns = vary("returns", format!("{:.1}", woken[1][3].returns));
        lab.note(format!("of 16 children, epoll_wait returned in {returns}"));
        lab.draw(|| chart(&woken))?;
        match (medians(1)[3], medians(0)[3]) {
            (1, 1) => Ok(0),
            (16, 16) => Ok(1),
            (16, 1) => Ok(2),
            (1, 16) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// How many children a connection wakes.
struct Counted {
    /// How many it wakes: the median of all connections.
    median: usize,
    /// The same, on average.
    mean: f64,
    /// To how many of them epoll_wait returns, on average.
    returns: f64,
}

/// Let connections come one at a time, each when all children sleep.
fn count(lab: &mut Lab, way: Way, n: u8) -> Result<Counted> {
    let server = lab.prefork(way, n, false)?;
    // The first connection faults in pages, and is not counted.
    server.serve(lab)?;
    let mut before = server.rest()?;
    server.returns()?;
    let mut woken = Vec::new();
    for _ in 0..CONNECTIONS {
        server.serve(lab)?;
        let now = server.rest()?;
        // A child that has gone to sleep since then was awake.
        woken.push(now.iter().zip(&before).filter(|(now, before)| now != before).count());
        before = now;
    }
    let mean = woken.iter().sum::<usize>() as f64 / CONNECTIONS as f64;
    let returns = server.returns()? as f64 / CONNECTIONS as f64;
    woken.sort_unstable();
    Ok(Counted { median: woken[CONNECTIONS / 2], mean, returns })
}

/// Four children that all return from epoll_wait before any of them accepts.
fn narrated(lab: &mut Lab) -> Result {
    let listener = lab.listen()?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    lab.note(format!("listen on port {}, nonblocking", vary("port", port)));
    let (arrived, arrives) = pipe2(OFlag::O_CLOEXEC)?;
    let mut children = Vec::new();
    for lane in ["A", "B", "C", "D"] {
        children.push(herded(lab, lane, &listener, &arrives)?);
    }
    let client = lab.connect(port)?;
    lab.note("a client connects");
    let mut woken = 0;
    while woken < children.len() {
        let mut watched = [PollFd::new(arrived.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, 10_000_u16)? == 0 {
            return Err(format!("epoll_wait returns to {woken} of 4").into());
        }
        woken += read(&arrived, &mut [0; 4])?;
    }
    lab.note(format!("epoll_wait has returned in {woken} of 4; open the gate"));
    let mut accepted = 0;
    for (child, gate) in children {
        gate.open()?;
        accepted += child.answer(lab)?;
    }
    hang_up(client)?;
    lab.check(accepted == 1, "all four get the event; one accept wins, the others fail with EAGAIN");
    Ok(())
}

/// A child that waits for a connection, reports that it was woken, and accepts when it may.
fn herded(lab: &mut Lab, lane: &str, listener: &TcpListener, arrives: &OwnedFd) -> Result<(Child, Gate)> {
    let gate = lab.gate()?;
    let ready = lab.gate()?;
    let child = lab.fork(lane, |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        // ANCHOR: core
        lab.note("epoll_wait, level-triggered");
        ready.open()?;
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
        write(arrives, &[0])?;
        gate.pass()?;
        let accepted = listener.accept();
        // ANCHOR_END: core
        match accepted.map_err(Errno::try_from) {
            Ok(_) => {
                lab.note("accept: the connection");
                Ok(1)
            }
            Err(Ok(Errno::EAGAIN)) => {
                lab.note("accept: EAGAIN");
                Ok(0)
            }
            Err(error) => Err(format!("accept: {error:?}").into()),
        }
    })?;
    ready.pass()?;
    Ok((child, gate))
}

fn chart(woken: &[Vec<Counted>]) -> Result<Plot> {
    let names = ["accept", "level", "exclusive", "reuseport"];
    let series = names.into_iter().zip(woken).map(|(name, counted)| {
        let points = CHILDREN.iter().zip(counted).map(|(n, counted)| (f64::from(*n), counted.mean));
        (name, points.collect())
    });
    Ok(Plot {
        title: "How many children a connection wakes, by their number and by how they wait",
        x: Axis::linear("children that wait for a connection", "number"),
        y: Axis::linear("children woken by a connection", "number"),
        series: series.collect(),
    })
}
