//! A thousand wakes of a busy loop, and the wake for which the pipe has no room.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::thread;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

const WAKES: usize = 1000;

const QUESTION: Question = Question {
    question: "How many events does epoll_wait return for a thousand wakes?",
    setup: "While a loop is busy, another thread wakes it a thousand times, each time with a byte in a pipe. \
            Then the loop calls epoll_wait and drains the pipe, and does both again until epoll_wait returns no \
            event. How many events were there? And how many if the waker is an eventfd?",
    choices: &[
        Choice::new("A thousand each: every write is an event.")
            .because("The first drain took all thousand bytes, so the second epoll_wait returned no event."),
        Choice::new("One each."),
        Choice::new("A thousand from the pipe; one from the eventfd, because it adds up.")
            .because("The pipe made one event as well: one drain took all its bytes."),
        Choice::new(
            "None from the pipe: it is full after a few wakes, and then the thread waits for the loop.",
        )
        .because("The pipe had room for every byte, and made one event."),
    ],
    book: 1,
    shows: "Readiness is a state and not a count: there is something to read, or there is not. So one byte in the pipe \
            is enough for all wakes before the next drain. If the pipe is full, the next wake cannot write its byte, \
            but the bytes of earlier wakes already wake the loop.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let by_pipe = busy(lab, "a byte each", &reader, &writer, &[0])?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let counter = OwnedFd::from(EventFd::from_flags(flags)?);
        let by_counter = busy(lab, "the number 1 each", &counter, &counter, &1_u64.to_ne_bytes())?;
        lab.check(by_pipe.bytes == WAKES, "the pipe had a byte for every wake");
        lab.check(by_counter.bytes == 8, "the eventfd had one number, of 8 bytes");
        full(lab, &reader, &writer)?;
        match (by_pipe.events, by_counter.events) {
            (WAKES, WAKES) => Ok(0),
            (1, 1) => Ok(1),
            (WAKES, 1) => Ok(2),
            (0, _) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

struct Seen {
    events: usize,
    bytes: usize,
}

/// Wake the loop from a thread while it is busy; then call epoll_wait until it returns no event.
fn busy(lab: &Lab, what: &str, reader: &OwnedFd, writer: &OwnedFd, wake: &[u8]) -> Result<Seen> {
    let epoll = watch(reader)?;
    let kind = if wake.len() == 1 { "pipe" } else { "eventfd" };
    lab.note(format!("watch the {kind}; then be busy with something else"));
    let other = lab.thread("thread", "a thread");
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            (0..WAKES).try_for_each(|_| write(writer, wake).map(drop))?;
            other.note(format!("{WAKES} wakes, {what}"));
            Ok::<_, Errno>(())
        });
        thread.join().map_err(|_| "the thread panicked")??;
        lab.ended(&other, "ends");
        let mut seen = Seen { events: 0, bytes: 0 };
        // ANCHOR: core
        while has_event(&epoll)? {
            let bytes = drain(reader)?;
            lab.note(format!("epoll_wait: an event; drain {bytes} bytes"));
            seen.events += 1;
            seen.bytes += bytes;
        }
        // ANCHOR_END: core
        lab.note("epoll_wait for 100 ms: no event");
        Ok(seen)
    })
}

/// Wake a busy loop until the pipe is full.
fn full(lab: &Lab, reader: &OwnedFd, writer: &OwnedFd) -> Result {
    let epoll = watch(reader)?;
    let mut taken = 0;
    let error = loop {
        match write(writer, &[0]) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    lab.note(format!("fill the pipe, which has one page: {taken} wakes; the next: {error:?}"));
    let ready = has_event(&epoll)?;
    lab.note(format!(
        "epoll_wait: {}; drain {} bytes",
        if ready { "an event" } else { "no event" },
        drain(reader)?
    ));
    lab.check(error == Errno::EAGAIN && ready, "a wake that finds the pipe full is not lost: the loop wakes");
    Ok(())
}

fn watch(reader: &OwnedFd) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    Ok(epoll)
}

fn has_event(epoll: &Epoll) -> Result<bool> {
    Ok(epoll.wait(&mut [EpollEvent::empty(); 8], 100_u8)? > 0)
}

/// Read until nothing is left. Gives how many bytes there were.
fn drain(reader: impl AsFd) -> Result<usize> {
    let mut bytes = 0;
    loop {
        match read(&reader, &mut [0; 4096]) {
            Ok(n) => bytes += n,
            Err(Errno::EAGAIN) => return Ok(bytes),
            Err(error) => return Err(error.into()),
        }
    }
}
