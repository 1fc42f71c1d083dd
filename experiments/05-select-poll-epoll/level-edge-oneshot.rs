//! What a oneshot registration reports, and what edge-triggered epoll takes for an edge.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, events};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::utsname::uname;
use nix::unistd::{read, write};

/// How many waits follow each step.
const TURNS: usize = 3;
const WAYS: [(&str, EpollFlags); 3] =
    [("level", EpollFlags::empty()), ("edge", EpollFlags::EPOLLET), ("oneshot", EpollFlags::EPOLLONESHOT)];

const QUESTION: Question = Question {
    question: "What does a oneshot registration report after its first report?",
    setup: "A pipe is registered with EPOLLONESHOT, for EPOLLIN. A byte comes, epoll_wait reports the pipe, and the \
            program does not read. Then a second byte comes, and after it the writer closes. Hang-ups are reported \
            even if a program has not registered for them. What does epoll_wait report of the second byte, and of \
            the hang-up?",
    choices: &[
        Choice::new("Both.").because("Level- and edge-triggered epoll did that, but not a oneshot entry."),
        Choice::new("The second byte, but not the hang-up.")
            .because("After the first report the entry is disabled, for new bytes too."),
        Choice::new("The hang-up, but not the second byte.")
            .because("A disabled entry reports no hang-up either. All other entries do."),
        Choice::new("Neither, until EPOLL_CTL_MOD arms the entry again."),
    ],
    book: 3,
    shows: "Level-triggered epoll reports a state, at every wait. Edge-triggered epoll reports that something has \
            happened: bytes have come, or a read has made room, even a read of your own. Its report names every \
            registered event that holds at that moment. An entry with EPOLLONESHOT is disabled by its first report. \
            After that epoll reports nothing of it, not even a hang-up, until EPOLL_CTL_MOD arms it again.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let trio = Trio::watch(&reader)?;
        lab.note(format!("three epolls watch one pipe; each waits {TURNS} times after each step"));
        write(&writer, b"a")?;
        let first = trio.turns(lab, "write a byte")?;
        let says = "an unread byte: level reports it at each wait, edge and oneshot once";
        lab.check(first == [TURNS, 1, 1], says);
        write(&writer, b"b")?;
        let second = trio.turns(lab, "write a second one")?;
        if second[1] == 0 && old_pipes()? {
            return Err(cannot_ask(
                "this kernel reports a write into a pipe to edge-triggered epoll only if the pipe was empty; Linux 5.14 \
                 and stable updates report each",
            ));
        }
        lab.check(second[..2] == [TURNS, 1], "edge: a write is reported though the pipe was not empty");
        read(&reader, &mut [0])?;
        let after_read = trio.turns(lab, "read one of the two")?;
        lab.check(after_read == [TURNS, 0, 0], "edge and oneshot do not report what is left in the pipe");
        for (i, (_, how)) in WAYS.iter().enumerate() {
            trio.0[i].modify(&reader, &mut EpollEvent::new(EpollFlags::EPOLLIN | *how, 0))?;
        }
        let armed = trio.turns(lab, "EPOLL_CTL_MOD, same flags")?;
        lab.check(armed == [TURNS, 1, 1], "MOD arms oneshot again, and lets edge report what is there");
        drop(writer);
        let closed = trio.turns(lab, "close the write end")?;
        lab.check(closed[..2] == [TURNS, 1], "level and edge report that the writer has closed");
        let seen = oneshot(lab)?;
        drained(lab)?;
        own_edges(lab)?;
        Ok(match seen {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        })
    })
}

/// The epolls that watch one pipe, in the order of `WAYS`.
struct Trio([Epoll; 3]);

impl Trio {
    fn watch(reader: &OwnedFd) -> Result<Self> {
        let [level, edge, oneshot] = WAYS.map(|(_, how)| watch(reader, how));
        Ok(Self([level?, edge?, oneshot?]))
    }

    /// Gives how many of the waits report the pipe, for each of them.
    fn turns(&self, lab: &Lab, step: &str) -> Result<[usize; 3]> {
        let mut reports = [0; 3];
        let mut seen = EpollFlags::empty();
        for (epoll, reports) in self.0.iter().zip(&mut reports) {
            for _ in 0..TURNS {
                if let Some(event) = reported(epoll)? {
                    *reports += 1;
                    seen |= event;
                }
            }
        }
        let [level, edge, oneshot] = reports;
        lab.note(format!("{step}: level {level}, edge {edge}, oneshot {oneshot}; {}", events(seen)));
        Ok(reports)
    }
}

fn watch(fd: &OwnedFd, how: EpollFlags) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN | how, 0))?;
    Ok(epoll)
}

fn reported(epoll: &Epoll) -> Result<Option<EpollFlags>> {
    let mut event = [EpollEvent::empty()];
    Ok((epoll.wait(&mut event, 0_u8)? > 0).then(|| event[0].events()))
}

/// What a oneshot entry that has reported a byte does with a second one, and with a hang-up: is either reported?
fn oneshot(lab: &Lab) -> Result<(bool, bool)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    // ANCHOR: core
    let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
    epoll.add(&reader, EpollEvent::new(once, 0))?;
    write(&writer, b"a")?;
    let first = reported(&epoll)?;
    write(&writer, b"b")?;
    let second = reported(&epoll)?;
    drop(writer);
    let hang_up = reported(&epoll)?;
    epoll.modify(&reader, &mut EpollEvent::new(once, 0))?;
    let armed = reported(&epoll)?;
    // ANCHOR_END: core
    let [a, b, hup, mod_] = [first, second, hang_up, armed].map(said);
    lab.note(format!("oneshot: a byte: {a}; another: {b}; close: {hup}; MOD: {mod_}"));
    lab.check(hang_up.is_none(), "oneshot: after its report an entry reports nothing, not even a hang-up");
    let both = Some(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP);
    lab.check(armed == both, "oneshot: armed again, it reports the byte and the hang-up at once");
    Ok((second.is_some(), hang_up.is_some()))
}

/// Edges that are easily overlooked: a peer that makes room, and this program's own read.
fn own_edges(lab: &Lab) -> Result {
    let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
    let (ours, peer) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let edge = watch(&ours, EpollFlags::EPOLLOUT | EpollFlags::EPOLLET)?;
    let added = reported(&edge)?;
    write(&peer, b"x")?;
    let came = reported(&edge)?;
    read(&ours, &mut [0; 8])?;
    write(&ours, b"x")?;
    let wrote = reported(&edge)?;
    read(&peer, &mut [0; 8])?;
    let room = reported(&edge)?;
    let [add, came_said, wrote_said, room_said] = [added, came, wrote, room].map(said);
    lab.note(format!("edge, a Unix socket, for IN|OUT: added: {add}; the peer writes: {came_said}"));
    lab.note(format!("the loop reads, then writes 1 byte: {wrote_said}; the peer reads: {room_said}"));
    lab.check(came == Some(both), "edge: a report names each event that holds, even OUT, which is not new");
    let out = Some(EpollFlags::EPOLLOUT);
    let says = "edge: a Unix socket that was never full reports OUT again when its peer has read";
    lab.check((added, wrote, room) == (out, None, out), says);
    let counter = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let edge = watch(&counter, EpollFlags::EPOLLOUT | EpollFlags::EPOLLET)?;
    write(&counter, &1_u64.to_ne_bytes())?;
    let wrote = reported(&edge)?;
    write(&counter, &1_u64.to_ne_bytes())?;
    let again = reported(&edge)?;
    read(&counter, &mut [0; 8])?;
    let own = reported(&edge)?;
    let in_only = watch(&counter, EpollFlags::EPOLLET)?;
    write(&counter, &1_u64.to_ne_bytes())?;
    let seen = reported(&in_only)?;
    read(&counter, &mut [0; 8])?;
    let silent = reported(&in_only)?;
    let [w, a, own_said, silent_said] = [wrote, again, own, silent].map(said);
    lab.note(format!("edge, eventfd, for IN|OUT: a write: {w}; a write: {a}; a read: {own_said}"));
    lab.note(format!("edge, eventfd, for IN: a read: {silent_said}"));
    lab.check((wrote, again) == (Some(both), Some(both)), "edge: each write to an eventfd is reported");
    let says = "edge: a loop's own read of an eventfd is an edge, if it is registered for OUT";
    lab.check((own, seen, silent) == (out, Some(EpollFlags::EPOLLIN), None), says);
    Ok(())
}

fn said(seen: Option<EpollFlags>) -> String {
    seen.map_or_else(|| "nothing".into(), events)
}

/// Whether a reader stops after a read of this length.
type Stop = fn(usize) -> bool;

/// Ten bytes, edge-triggered, and a loop with a buffer of four.
fn drained(lab: &Lab) -> Result {
    let mut left = Vec::new();
    let ways: [(&str, Stop); 3] =
        [("one read", |_| true), ("until EAGAIN", |_| false), ("until a short read", |length| length < 4)];
    for (name, stop) in ways {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let edge = watch(&reader, EpollFlags::EPOLLET)?;
        write(&writer, &[b'x'; 10])?;
        let (mut taken, mut calls) = (0, 0);
        while reported(&edge)?.is_some() {
            let (bytes, reads) = read_until(&reader, stop)?;
            taken += bytes;
            calls += reads;
        }
        lab.note(format!("edge, 10 bytes, {name}: {taken} bytes, reads: {calls}"));
        left.push((10 - taken, calls));
    }
    lab.check(left[0].0 == 6, "edge, one read for each report: 6 bytes stay unread, and the loop sleeps");
    let says = "reading until EAGAIN gets all bytes; stopping at a short read saves a call";
    lab.check(left[1..] == [(0, 4), (0, 3)], says);
    // An end of file that comes with the bytes.
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let edge = watch(&reader, EpollFlags::EPOLLET)?;
    write(&writer, &[b'x'; 6])?;
    drop(writer);
    let (came, (bytes, _)) = (said(reported(&edge)?), read_until(&reader, |length| length < 4)?);
    let then = said(reported(&edge)?);
    lab.note(format!("edge, 6 bytes and the end: {came}; short read, {bytes} bytes; then: {then}"));
    let end = read(&reader, &mut [0; 4]);
    lab.check((&*then, end) == ("nothing", Ok(0)), "stopping at a short read misses an end of file");
    Ok(())
}

/// Read until `EAGAIN`, or until `stop` says so of the length of a read. Gives how many bytes, in how many calls.
fn read_until(reader: &OwnedFd, stop: Stop) -> Result<(usize, usize)> {
    let (mut bytes, mut calls) = (0, 0);
    loop {
        calls += 1;
        let length = match read(reader, &mut [0; 4]) {
            Err(Errno::EAGAIN) => return Ok((bytes, calls)),
            other => other?,
        };
        bytes += length;
        if stop(length) {
            return Ok((bytes, calls));
        }
    }
}

/// The first releases from 5.5 to 5.13: a pipe woke its reader only if it had been empty. Stable updates have the
/// repair, 5.10 from 5.10.70 on, and never come here.
fn old_pipes() -> Result<bool> {
    let release = uname()?.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).flat_map(str::parse::<u32>);
    Ok((numbers.next(), numbers.next()) < (Some(5), Some(14)))
}
