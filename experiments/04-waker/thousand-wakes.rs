//! A thousand wakes for a loop that is busy, and the wake for which the pipe has no room.

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
    question: "A loop is busy. Meanwhile other threads wake it a thousand times: each writes a byte into its \
               pipe. Whenever epoll_wait reports the pipe, the loop reads all that is in it. How often is it \
               reported? And how often would an eventfd be?",
    choices: &[
        Choice::new("A thousand times each: every write is an event."),
        Choice::new("Once each."),
        Choice::new("The pipe a thousand times; the eventfd once, since it adds up."),
        Choice::new("The pipe never: it is full long before, and its writers wait for the loop."),
    ],
    book: 1,
    shows: "Being ready is a state, not a count: there is something to read, or there is not. So a wake \
            needs no room. Where the pipe is full the byte cannot be written, and the loop is going to wake \
            up all the same.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        let by_pipe = busy(lab, "a byte each", &reader, &writer, &[0])?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let counter = OwnedFd::from(EventFd::from_flags(flags)?);
        let by_counter = busy(lab, "1 each", &counter, &counter, &1_u64.to_ne_bytes())?;
        lab.check(by_pipe.bytes == WAKES, "the pipe had a byte for every wake");
        lab.check(by_counter.bytes == 8, "the eventfd had one number, of 8 bytes");
        full(lab, &reader, &writer)?;
        match (by_pipe.reports, by_counter.reports) {
            (WAKES, WAKES) => Ok(0),
            (1, 1) => Ok(1),
            (WAKES, 1) => Ok(2),
            (0, _) => Ok(3),
            other => Err(format!("pipe and eventfd were reported so often: {other:?}").into()),
        }
    })
}

struct Seen {
    reports: usize,
    bytes: usize,
}

/// Wake the loop from a thread while it does not look; then look, until there is nothing to see.
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
        let mut seen = Seen { reports: 0, bytes: 0 };
        while is_reported(&epoll)? {
            let bytes = drain(reader)?;
            lab.note(format!("epoll_wait: ready; read {bytes} bytes"));
            seen.reports += 1;
            seen.bytes += bytes;
        }
        lab.note("epoll_wait for 100 ms: nothing");
        Ok(seen)
    })
}

/// Wake a loop that does not look, until the pipe takes no more.
fn full(lab: &Lab, reader: &OwnedFd, writer: &OwnedFd) -> Result {
    let epoll = watch(reader)?;
    let mut taken = 0;
    let error = loop {
        match write(writer, &[0]) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    lab.note(format!("a pipe of one page takes {taken} wakes; the next: {error:?}"));
    let ready = is_reported(&epoll)?;
    lab.note(format!(
        "epoll_wait: {}; read {} bytes",
        if ready { "ready" } else { "nothing" },
        drain(reader)?
    ));
    lab.check(
        error == Errno::EAGAIN && ready,
        "a wake for which there is no room is not lost: the loop wakes",
    );
    Ok(())
}

fn watch(reader: &OwnedFd) -> Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    Ok(epoll)
}

fn is_reported(epoll: &Epoll) -> Result<bool> {
    Ok(epoll.wait(&mut [EpollEvent::empty(); 8], 100_u8)? > 0)
}

/// Read until there is nothing left. How many bytes were there?
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
