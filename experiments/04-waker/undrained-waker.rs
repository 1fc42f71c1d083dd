//! A wake whose byte stays in the pipe.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::write;

/// How many times the loop waits again.
const ROUNDS: usize = 100;

const QUESTION: Question = Question {
    question: "How many waits return at once while a wake's byte stays unread?",
    setup: "A loop was woken by a byte in a pipe. It does not read the byte, and waits again, a hundred \
            times. How many of these waits return at once, with poll, with epoll, and with edge-triggered \
            epoll?",
    choices: &[
        Choice::new("None: the loop was already notified of the byte.")
            .because("poll and epoll report the pipe as long as there is something to read."),
        Choice::new("With poll all of them, with epoll none: epoll remembers what it has reported.")
            .because("epoll is level-triggered by default: it reported the byte each time."),
        Choice::new("All of them, however the pipe is watched: there is something to read.")
            .because("Edge-triggered epoll reported the byte once, and then waited for another."),
        Choice::new("All of them, unless the pipe is watched edge-triggered."),
    ],
    book: 3,
    shows: "poll reports a state, and so does epoll by default: the pipe is readable. A loop that leaves the \
            byte in the pipe never sleeps again, and uses a whole core. Edge-triggered epoll reports a change: a \
            waker that is watched that way need not be read.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        write(&writer, &[0])?;
        lab.note("a wake: one byte in the pipe, which is never read");
        // ANCHOR: core
        let by_poll = rounds(lab, "poll", || {
            Ok(poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], 100_u8)? > 0)
        })?;
        let level = watch(&reader, EpollFlags::empty())?;
        let by_level = rounds(lab, "epoll", || is_reported(&level))?;
        let edge = watch(&reader, EpollFlags::EPOLLET)?;
        let reported = is_reported(&edge)?;
        lab.note(format!("EPOLLET, first wait: {}", if reported { "ready" } else { "nothing" }));
        lab.check(reported, "edge-triggered: the wake itself is reported");
        let by_edge = rounds(lab, "EPOLLET", || is_reported(&edge))?;
        // ANCHOR_END: core
        never_read(lab)?;
        match (by_poll, by_level, by_edge) {
            (0, 0, 0) => Ok(0),
            (ROUNDS, 0, 0) => Ok(1),
            (ROUNDS, ROUNDS, ROUNDS) => Ok(2),
            (ROUNDS, ROUNDS, 0) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A waker that is never read: an eventfd, watched edge-triggered.
fn never_read(lab: &Lab) -> Result {
    let counter = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let edge = watch(&counter, EpollFlags::EPOLLET)?;
    let mut reports = 0;
    for _ in 0..3 {
        write(&counter, &1_u64.to_ne_bytes())?;
        reports += usize::from(is_reported(&edge)?);
    }
    let more = is_reported(&edge)?;
    lab.note(format!("an eventfd, EPOLLET, never read: 3 wakes, {reports} reports"));
    lab.check(reports == 3 && !more, "an eventfd, edge-triggered and never read: one report for each wake");
    Ok(())
}

/// Wait a hundred times, or until a wait returns with nothing. How many returned at once?
fn rounds(lab: &Lab, how: &str, mut wait: impl FnMut() -> Result<bool>) -> Result<usize> {
    for round in 0..ROUNDS {
        if !wait()? {
            lab.note(format!("{how}, for 100 ms: nothing, although the byte is there"));
            return Ok(round);
        }
    }
    lab.note(format!("{how}, {ROUNDS} times: ready each time"));
    Ok(ROUNDS)
}

fn watch(reader: &OwnedFd, how: EpollFlags) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN | how, 0))?;
    Ok(epoll)
}

fn is_reported(epoll: &Epoll) -> Result<bool> {
    Ok(epoll.wait(&mut [EpollEvent::empty(); 8], 100_u8)? > 0)
}
