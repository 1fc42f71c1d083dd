//! One pipe in three epolls: what each of them reports, and how many times.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, events};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::utsname::uname;
use nix::unistd::{read, write};

/// How many waits follow each step.
const TURNS: usize = 3;
const WAYS: [(&str, EpollFlags); 3] =
    [("level", EpollFlags::empty()), ("edge", EpollFlags::EPOLLET), ("oneshot", EpollFlags::EPOLLONESHOT)];

const QUESTION: Question = Question {
    question: "How often do level-triggered, edge-triggered and oneshot epoll report an unread byte?",
    setup: "A pipe is watched by three epolls: level-triggered, edge-triggered, and with EPOLLONESHOT. A \
            byte comes, all three report it, and it is not read. Then a second byte comes. Which of them \
            report the pipe again?",
    choices: &[
        Choice::new("All three: something has come.")
            .because("A oneshot entry is disabled after its first report, until it is armed again."),
        Choice::new(
            "The level-triggered one alone: the pipe was ready before and still is, which is no \
                     edge.",
        )
        .because("For edge-triggered epoll each write is an edge: it reported the second one too."),
        Choice::new("The level-triggered and the edge-triggered one."),
        Choice::new("The edge-triggered one alone: the others do not report what is new.")
            .because("The level-triggered one reports the pipe at every wait, as long as it is readable."),
    ],
    book: 2,
    shows: "Level-triggered epoll reports a state, at every wait. Edge-triggered epoll reports a change, \
            once each time; it does not report again what you leave unread. With EPOLLONESHOT there is one \
            report, and then none until you arm it again, even when the writer has closed.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let trio = Trio::watch(&reader)?;
        lab.note(format!("one pipe, three epolls; after each step {TURNS} waits"));
        write(&writer, b"a")?;
        let first = trio.turns(lab, "write a byte")?;
        lab.check(
            first == [TURNS, 1, 1],
            "an unread byte: level reports it at each wait, edge and oneshot once",
        );
        write(&writer, b"b")?;
        let second = trio.turns(lab, "write a second one")?;
        let by_counter = eventfd(lab)?;
        if second[1] == 0 && by_counter == 2 && old_pipes()? {
            return Err(cannot_ask(
                "edge-triggered epoll reports a write into a pipe that is not empty since Linux 5.14",
            ));
        }
        lab.check(by_counter == 2, "edge: each write is reported, to an eventfd as well");
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
        lab.check(closed == [TURNS, 1, 0], "a spent oneshot does not even report that the writer has closed");
        drained(lab)?;
        match second.map(|reports| reports > 0) {
            [true, true, true] => Ok(0),
            [true, false, false] => Ok(1),
            [true, true, false] => Ok(2),
            [false, true, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
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

/// Two writes to an eventfd that is not read, edge-triggered. Gives the number of reports.
fn eventfd(lab: &Lab) -> Result<usize> {
    let counter = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let edge = watch(&counter, EpollFlags::EPOLLET)?;
    let mut reports = 0;
    for _ in 0..2 {
        write(&counter, &1_u64.to_ne_bytes())?;
        for _ in 0..TURNS {
            reports += usize::from(reported(&edge)?.is_some());
        }
    }
    lab.note(format!("the same with an eventfd, two writes: edge {reports}"));
    Ok(reports)
}

/// Ten bytes, edge-triggered, and a loop with a buffer of four.
fn drained(lab: &Lab) -> Result {
    let mut left = Vec::new();
    for (name, until) in
        [("one read", Until::One), ("until EAGAIN", Until::Again), ("until a short read", Until::Short)]
    {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let edge = watch(&reader, EpollFlags::EPOLLET)?;
        write(&writer, &[b'x'; 10])?;
        let (mut taken, mut calls) = (0, 0);
        while reported(&edge)?.is_some() {
            let (bytes, reads) = until.read(&reader)?;
            taken += bytes;
            calls += reads;
        }
        lab.note(format!("edge, 10 bytes, {name}: {taken} bytes in {calls} calls, then nothing"));
        left.push((10 - taken, calls));
    }
    lab.check(left[0].0 == 6, "edge, one read for each report: 6 bytes stay, and the loop sleeps");
    lab.check(
        left[1..] == [(0, 4), (0, 3)],
        "reading until EAGAIN takes all; stopping at a short read saves a call",
    );
    Ok(())
}

/// When a reader stops reading.
enum Until {
    One,
    Again,
    Short,
}

impl Until {
    /// Read. Gives how many bytes, in how many calls.
    fn read(&self, reader: &OwnedFd) -> Result<(usize, usize)> {
        let (mut bytes, mut calls) = (0, 0);
        loop {
            calls += 1;
            match read(reader, &mut [0; 4]) {
                Err(Errno::EAGAIN) => return Ok((bytes, calls)),
                outcome => {
                    let length = outcome?;
                    bytes += length;
                    if matches!(self, Until::One) || (matches!(self, Until::Short) && length < 4) {
                        return Ok((bytes, calls));
                    }
                }
            }
        }
    }
}

/// From 5.5 to 5.13 a pipe woke its reader only when it had been empty.
fn old_pipes() -> Result<bool> {
    let release = uname()?.release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).flat_map(str::parse::<u32>);
    Ok((numbers.next(), numbers.next()) < (Some(5), Some(14)))
}
