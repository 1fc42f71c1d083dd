//! One pipe, watched by poll, by level-triggered epoll and by edge-triggered epoll, and a byte that a read has left in it.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{read, write};

/// How many times each of the three is asked after each step.
const WAITS: usize = 3;

const QUESTION: Question = Question {
    question: "Which kind of epoll reports a pipe again after a read left a byte in it?",
    setup: "A pipe holds two bytes, and both epolls, the level-triggered and the edge-triggered one, have \
            reported it. Now the program reads one of the two bytes, and waits with each epoll again. Which \
            of them reports the pipe?",
    choices: &[
        Choice::new("Both: a byte can still be read.")
            .because("Edge-triggered epoll reports what arrives, and nothing has arrived since its report."),
        Choice::new("The level-triggered one alone: nothing new has arrived."),
        Choice::new("The edge-triggered one alone: the read changed the pipe.")
            .because("A read takes bytes away; only a write makes edge-triggered epoll report the pipe."),
        Choice::new("Neither: each has reported the pipe already.")
            .because("Level-triggered epoll does not remember its reports: it reports what is there."),
    ],
    book: 1,
    shows: "poll and level-triggered epoll report a pipe at every wait, as long as there is something to \
            read. Edge-triggered epoll reports it only when something new has arrived, and only once. So a \
            program that uses edge-triggered epoll must read until EAGAIN: bytes that it leaves in the pipe are \
            not reported again.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // ANCHOR: core
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let level = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        level.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let edge = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        edge.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
        // ANCHOR_END: core
        let watchers = Watchers { reader: &reader, level, edge };
        lab.note(format!("a pipe; after each step, {WAITS} waits with each poller"));
        watchers.report(lab, "nothing written")?;
        write(&writer, b"a")?;
        let first = watchers.report(lab, "write a byte")?;
        lab.check(
            first == [WAITS, WAITS, 1],
            "for a byte that is not read, edge-triggered epoll reports the pipe once",
        );
        write(&writer, b"b")?;
        watchers.report(lab, "write a second byte")?;
        read(&reader, &mut [0])?;
        let left = watchers.report(lab, "read one byte of the two")?;
        let calls = drain(&reader)?;
        let drained = watchers.report(lab, &format!("read until EAGAIN, {calls} calls"))?;
        lab.check(drained == [0; 3], "after reading until EAGAIN, none of the three reports the pipe");
        write(&writer, b"c")?;
        let new = watchers.report(lab, "write a byte")?;
        lab.check(new == [WAITS, WAITS, 1], "after the next byte, all three report the pipe");
        match left.map(|reports| reports > 0) {
            [true, true, true] => Ok(0),
            [true, true, false] => Ok(1),
            [true, false, true] => Ok(2),
            [true, false, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What watches the read end of one pipe.
struct Watchers<'a> {
    reader: &'a OwnedFd,
    level: Epoll,
    edge: Epoll,
}

impl Watchers<'_> {
    /// Gives how many waits report the pipe: with poll, level-triggered epoll and edge-triggered epoll.
    fn report(&self, lab: &Lab, step: &str) -> Result<[usize; 3]> {
        let mut reports = [0; 3];
        for _ in 0..WAITS {
            let mut watched = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
            let mut event = [EpollEvent::empty()];
            reports[0] += usize::try_from(poll(&mut watched, PollTimeout::ZERO)?)?;
            reports[1] += self.level.wait(&mut event, 0_u8)?;
            reports[2] += self.edge.wait(&mut event, 0_u8)?;
        }
        let [poll, level, edge] = reports;
        lab.note(format!("{step}: poll {poll}, level {level}, edge {edge}"));
        Ok(reports)
    }
}

/// Reads until EAGAIN, and gives the number of reads.
fn drain(reader: &OwnedFd) -> Result<usize> {
    let mut calls = 0;
    loop {
        calls += 1;
        match read(reader, &mut [0; 10]) {
            Err(Errno::EAGAIN) => return Ok(calls),
            outcome => outcome?,
        };
    }
}
