//! One pipe in three epolls: what each of them reports, and how often.

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
    question: "A pipe is watched by three epolls: level-triggered, edge-triggered, and with EPOLLONESHOT. A \
               byte comes, all three report it, and nobody reads it. Now a second byte comes. Which of them \
               report the pipe again?",
    choices: &[
        Choice::new("All three: something has come."),
        Choice::new(
            "The level-triggered one alone: the pipe was ready before and is ready still, which is \
                     no edge.",
        ),
        Choice::new("The level-triggered and the edge-triggered one."),
        Choice::new("The edge-triggered one alone: nobody else asked to be told of what is new."),
    ],
    book: 2,
    shows: "Level-triggered says what is, at every wait. Edge-triggered says that something has come, once \
            each time; what you leave there is not mentioned again. Oneshot says one thing, and then nothing \
            at all, not even that the writer is gone, until you arm it again.",
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
            "a byte that stays: level says so each time, edge and oneshot once",
        );
        write(&writer, b"b")?;
        let second = trio.turns(lab, "write a second one")?;
        let by_counter = eventfd(lab)?;
        if second[1] == 0 && by_counter == 2 && old_pipes()? {
            return Err(cannot_ask("a pipe tells of a write into what is not empty since Linux 5.14"));
        }
        lab.check(by_counter == 2, "edge: each write is news, for an eventfd too");
        read(&reader, &mut [0])?;
        let after_read = trio.turns(lab, "read one of the two")?;
        lab.check(after_read == [TURNS, 0, 0], "what is left in the pipe is news to nobody");
        for (i, (_, how)) in WAYS.iter().enumerate() {
            trio.0[i].modify(&reader, &mut EpollEvent::new(EpollFlags::EPOLLIN | *how, 0))?;
        }
        let armed = trio.turns(lab, "EPOLL_CTL_MOD, same flags")?;
        lab.check(armed == [TURNS, 1, 1], "MOD arms oneshot again; it makes edge look again too");
        drop(writer);
        let closed = trio.turns(lab, "close the write end")?;
        lab.check(closed == [TURNS, 1, 0], "a spent oneshot does not even report that the writer is gone");
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

    /// In how many of so many waits does each of them report the pipe?
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

/// Two writes to an eventfd that nobody reads, edge-triggered: how many reports?
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
    lab.check(left[0].0 == 6, "edge, one read for each report: 6 bytes stay, and the loop sleeps on them");
    lab.check(
        left[1..] == [(0, 4), (0, 3)],
        "until EAGAIN takes all; a read that comes back short says it sooner",
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
    /// How many bytes, in how many calls?
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
