//! A wake whose byte stays in the pipe.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::write;

/// How many times the loop waits again.
const ROUNDS: usize = 100;

const QUESTION: Question = Question {
    question: "How many of three wakes reach a loop that never reads its edge-triggered eventfd?",
    setup: "A loop watches its waker, an eventfd, edge-triggered, and never reads it. Three wakes come, and the loop \
            waits after each. Then it waits once more, without a wake. Which of these four waits return at once?",
    choices: &[
        Choice::new("All four: the number in the eventfd is not 0, so there is something to read.").because(
            "The fourth wait returned nothing: an edge-triggered wait reports a descriptor only after \
                      something has arrived.",
        ),
        Choice::new("The first: before the second wake the number was not 0, so nothing has changed.")
            .because("Each write was an arrival, even if the number was above 0 before."),
        Choice::new("The first three: each write is reported, whatever the number was before it."),
        Choice::new("None: epoll does not report a waker that the loop never reads.")
            .because("epoll reported each of the three wakes, although the loop read nothing."),
    ],
    book: 2,
    shows: "A loop need not read a waker that it watches edge-triggered, which saves one system call for each wake-up. \
            It must read a waker that it watches level-triggered: while a byte is in the pipe, no wait sleeps, and the \
            loop uses a whole core.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        level(lab)?;
        // ANCHOR: core
        let waker = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let edge = watch(&waker, EpollFlags::EPOLLET)?;
        let mut returned = [false; 4];
        for wait in &mut returned[..3] {
            write(&waker, &1_u64.to_ne_bytes())?;
            *wait = is_reported(&edge)?;
        }
        returned[3] = is_reported(&edge)?;
        // ANCHOR_END: core
        let word = |is: &bool| if *is { "an event" } else { "nothing" };
        for (number, wait) in returned[..3].iter().enumerate() {
            lab.note(format!("EPOLLET, wake {}, no read: {}", number + 1, word(wait)));
        }
        lab.note(format!("EPOLLET, no wake, for 100 ms: {}", word(&returned[3])));
        full(lab)?;
        match returned {
            [true, true, true, true] => Ok(0),
            [true, false, false, false] => Ok(1),
            [true, true, true, false] => Ok(2),
            [false, false, false, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A waker that is watched level-triggered and not read: a pipe with one byte.
fn level(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, &[0])?;
    lab.note("first a pipe as the waker: write one byte, never read it");
    let by_poll =
        rounds(lab, "poll", || Ok(poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], 100_u8)? > 0))?;
    let level = watch(&reader, EpollFlags::empty())?;
    let by_level = rounds(lab, "epoll", || is_reported(&level))?;
    lab.check(
        by_poll == ROUNDS && by_level == ROUNDS,
        "level-triggered: each wait returns at once, and the loop never sleeps",
    );
    Ok(())
}

/// Wakes that fail because the waker is full: are they arrivals?
fn full(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, &[0; 4096])?;
    let counter = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    write(&counter, &(u64::MAX - 1).to_ne_bytes())?;
    let pipe = is_an_arrival(lab, "pipe", &reader, || write(&writer, &[0]))?;
    let eventfd = is_an_arrival(lab, "eventfd", &counter, || write(&counter, &1_u64.to_ne_bytes()))?;
    lab.check(
        pipe && !eventfd,
        "a write that fails with EAGAIN is an arrival in a full pipe, and not in a full eventfd",
    );
    Ok(())
}

/// Watch a full waker, and wake it when its first event is over. The wake fails.
fn is_an_arrival(
    lab: &Lab,
    kind: &str,
    reader: &OwnedFd,
    wake: impl FnOnce() -> nix::Result<usize>,
) -> Result<bool> {
    let edge = watch(reader, EpollFlags::EPOLLET)?;
    if !is_reported(&edge)? || is_reported(&edge)? {
        return Err(format!("a full {kind} is not reported once").into());
    }
    let wake = wake();
    if wake != Err(Errno::EAGAIN) {
        return Err(format!("a wake of a full {kind} returned {wake:?}").into());
    }
    let reported = is_reported(&edge)?;
    let word = if reported { "an event" } else { "nothing" };
    lab.note(format!("EPOLLET, a full {kind}, write = EAGAIN: {word}"));
    Ok(reported)
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
