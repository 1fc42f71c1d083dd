//! What epoll reports without a registration, and what its events mean.

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, events, hang_up};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};
use nix::unistd::{read, write};

const NONE: EpollFlags = EpollFlags::empty();
const IN: EpollFlags = EpollFlags::EPOLLIN;
const OUT: EpollFlags = EpollFlags::EPOLLOUT;
const RDHUP: EpollFlags = EpollFlags::EPOLLRDHUP;
const ERR: EpollFlags = EpollFlags::EPOLLERR;
const HUP: EpollFlags = EpollFlags::EPOLLHUP;

/// How many times the loop waits.
const TURNS: usize = 100;

const QUESTION: Question = Question {
    question: "What does epoll report for a descriptor that is registered for no events?",
    setup: "For a while, a loop wants no events of a client that is connected by a Unix socket. It leaves the \
            socket in its epoll, but registers it for no events: 0. Then the client closes its end. What does \
            epoll_wait report?",
    choices: &[
        Choice::new("Nothing, because the loop registered for nothing.")
            .because("ERR and HUP are reported whatever the loop registered for."),
        Choice::new("HUP, once.")
            .because("epoll is level-triggered: a hundred waits reported HUP a hundred times."),
        Choice::new("HUP, at every wait."),
        Choice::new("IN, at every wait: the end of file can be read.")
            .because("IN is reported only if the loop has registered for it."),
    ],
    book: 2,
    shows: "A loop registers for IN, OUT and other events. ERR and HUP are always reported, at every wait, for as \
            long as the condition holds. IN means that a read would not block, because there are bytes, an error or, \
            for a socket, end of file. OUT means that there is room. IN does not say how many bytes there are, and \
            OUT does not say how much room.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let bits = [IN, OUT, ERR, HUP].map(|event| event.bits());
        lab.check(bits == [1, 4, 8, 16], "IN, OUT, ERR and HUP are 1, 4, 8 and 16");
        let seen = unasked(lab)?;
        in_and_out(lab)?;
        idle_out(lab)?;
        lab.note("below, two reports each: registered for 0; for IN|OUT|RDHUP");
        pipes(lab)?;
        pairs(lab)?;
        tcp(lab)?;
        match seen {
            (NONE, 0) => Ok(0),
            (HUP, 1) => Ok(1),
            (HUP, TURNS) => Ok(2),
            (IN, _) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What is reported last, and how many of the waits report something.
fn spin(epoll: &Epoll) -> Result<(EpollFlags, usize)> {
    let mut seen = (NONE, 0);
    for _ in 0..TURNS {
        if let Some(events) = wait(epoll)? {
            seen = (events, seen.1 + 1);
        }
    }
    Ok(seen)
}

fn unasked(lab: &Lab) -> Result<(EpollFlags, usize)> {
    let (ours, theirs) = pair()?;
    let epoll = watch(&ours, NONE)?;
    let before = wait(&epoll)?;
    lab.note(format!("a Unix socket, registered for 0; a wait: {}", said(before)));
    drop(theirs);
    let seen = spin(&epoll)?;
    lab.note(format!("the peer closes; {TURNS} waits: {} reports, {}", seen.1, events(seen.0)));
    let once = spin(&watch(&ours, EpollFlags::EPOLLET)?)?;
    let spent = spin(&watch(&ours, EpollFlags::EPOLLONESHOT)?)?;
    epoll.delete(&ours)?;
    let deleted = spin(&epoll)?;
    lab.note(format!(
        "with EPOLLET: {} report; EPOLLONESHOT: {}; after EPOLL_CTL_DEL: {}",
        once.1, spent.1, deleted.1
    ));
    lab.check(
        (once.1, spent.1, deleted.1) == (1, 1, 0),
        "one report with EPOLLET or EPOLLONESHOT, and none after EPOLL_CTL_DEL",
    );
    Ok(seen)
}

/// What IN and OUT mean for a pipe of two pages.
fn in_and_out(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(8192)?;
    let (input, output) = (watch(&reader, IN)?, watch(&writer, OUT)?);
    let mut states = Vec::new();
    for (what, bytes) in [("empty", 0), ("1 byte", 1), ("full", 8191)] {
        write(&writer, &vec![b'x'; bytes])?;
        let seen = (wait(&input)?, wait(&output)?);
        lab.note(format!("a pipe of 8192 bytes, {what}: reader {}, writer {}", said(seen.0), said(seen.1)));
        states.push(seen);
    }
    lab.check(
        states == [(None, Some(OUT)), (Some(IN), Some(OUT)), (Some(IN), None)],
        "one byte in the pipe is enough for IN; OUT needs room, not an empty pipe",
    );
    drop(writer);
    while read(&reader, &mut [0; 4096])? > 0 {}
    let ended = wait(&input)?;
    lab.note(format!("the pipe at end of file: reader {}, a read gives 0", said(ended)));
    lab.check(ended == Some(HUP), "at end of file, a pipe is reported with HUP and without IN");
    Ok(())
}

/// A loop that is registered for OUT and has nothing to write.
fn idle_out(lab: &Lab) -> Result {
    let (ours, _theirs) = pair()?;
    let idle = spin(&watch(&ours, IN)?)?;
    let spinning = spin(&watch(&ours, IN | OUT)?)?;
    lab.note(format!("an idle socket, {TURNS} waits: for IN {} reports, for IN|OUT {}", idle.1, spinning.1));
    lab.check(
        idle.1 == 0 && spinning == (OUT, TURNS),
        "an idle socket has room: a loop that registers it for OUT spins",
    );
    Ok(())
}

fn pipes(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    drop(writer);
    let ended = table(lab, "a pipe's read end", &reader)?;
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, b"x")?;
    drop(writer);
    let with_data = table(lab, "a pipe's read end, bytes left", &reader)?;
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    drop(reader);
    let broken = table(lab, "a pipe's write end", &writer)?;
    lab.check(
        ended == (HUP, HUP) && with_data == (HUP, IN | HUP) && broken == (ERR, OUT | ERR),
        "pipe: the reader gets HUP, and IN if bytes are left; the writer gets ERR",
    );
    Ok(())
}

fn pairs(lab: &Lab) -> Result {
    let (ours, theirs) = pair()?;
    drop(theirs);
    let closed = table(lab, "a Unix socket", &ours)?;
    let (ours, theirs) = pair()?;
    write(&ours, b"unread")?;
    drop(theirs);
    let unread = table(lab, "a Unix socket, bytes unread by the peer", &ours)?;
    let all = IN | OUT | RDHUP | HUP;
    lab.check(
        closed == (HUP, all) && unread == (ERR | HUP, all | ERR),
        "Unix socket: the close is reported as IN, OUT, RDHUP and HUP; and as ERR, if the peer left bytes unread",
    );
    Ok(())
}

fn tcp(lab: &Lab) -> Result {
    let listener = lab.listen()?;
    let port = listener.local_addr()?.port();
    let client = lab.connect(port)?;
    let (server, _) = listener.accept()?;
    drop(server);
    // Its end of file is on the way, and has arrived once there is something to read.
    arrived(&client, IN)?;
    let half = table(lab, "TCP", &client)?;
    let writes = lab.connect(port)?;
    let (server, _) = listener.accept()?;
    server.shutdown(Shutdown::Write)?;
    arrived(&writes, IN)?;
    let shut = table(lab, "TCP, the peer only shut down its writing side", &writes)?;
    lab.check(shut == half, "TCP: a close by the peer and its shutdown of writing cause the same events");
    client.shutdown(Shutdown::Write)?;
    let both = table(lab, "TCP, the peer closed and we shut down", &client)?;
    let client = lab.connect(port)?;
    let (server, _) = listener.accept()?;
    hang_up(server)?;
    arrived(&client, NONE)?;
    let reset = table(lab, "TCP, reset", &client)?;
    let unconnected = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let fresh = table(lab, "TCP, connect was never called", &unconnected)?;
    lab.check(fresh == (HUP, OUT | HUP), "a TCP socket that was never connected is reported with HUP");
    let all = IN | OUT | RDHUP;
    lab.check(
        half == (NONE, all) && both == (HUP, all | HUP) && reset == (ERR | HUP, all | ERR | HUP),
        "TCP: a close by the peer causes IN and RDHUP; HUP needs a shutdown by both",
    );
    Ok(())
}

/// Wait for what a peer has sent to arrive.
fn arrived(fd: impl AsFd, what: EpollFlags) -> Result {
    let count = watch(fd, what)?.wait(&mut [EpollEvent::empty()], 10_000_u16)?;
    if count == 0 { Err("what a peer has sent does not arrive".into()) } else { Ok(()) }
}

/// One row: what is reported without a registration, and what with IN|OUT|RDHUP.
fn table(lab: &Lab, name: &str, fd: impl AsFd) -> Result<(EpollFlags, EpollFlags)> {
    let unasked = wait(&watch(&fd, NONE)?)?.unwrap_or(NONE);
    let asked = wait(&watch(&fd, IN | OUT | RDHUP)?)?.unwrap_or(NONE);
    lab.note(format!("{name}: {}; {}", events(unasked), events(asked)));
    Ok((unasked, asked))
}

fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?)
}

// ANCHOR: core
fn watch(fd: impl AsFd, what: EpollFlags) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(fd, EpollEvent::new(what, 0))?;
    Ok(epoll)
}

fn wait(epoll: &Epoll) -> Result<Option<EpollFlags>> {
    let mut event = [EpollEvent::empty()];
    Ok((epoll.wait(&mut event, 0_u8)? > 0).then(|| event[0].events()))
}
// ANCHOR_END: core

fn said(seen: Option<EpollFlags>) -> String {
    seen.map_or_else(|| "nothing".into(), events)
}
