//! A full pipe, drained a byte at a time, and the moment at which poll reports it as writable.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

const PAGE: usize = 4096;
const CAPACITY: usize = 4 * PAGE;

const QUESTION: Question = Question {
    question: "When does poll report a full pipe as writable again?",
    setup: "A pipe of 16384 bytes, four pages, is full. Its reader reads one byte at a time, and after each \
            byte the writer calls poll. After how many bytes does poll report POLLOUT?",
    choices: &[
        Choice::new("After 1: there is room for a byte.")
            .because("POLLOUT came after 4096 bytes: a page is free only when all of it was read."),
        Choice::new("After 16384: poll reports it when the pipe is empty.")
            .because("POLLOUT came after 4096 bytes, with three pages still full."),
        Choice::new("After 4096: there is room for a page."),
        Choice::new("After 8192: half of the pipe is free, so that waking the writer is worth the cost.")
            .because("POLLOUT came after 4096 bytes: one free page is enough."),
    ],
    book: 2,
    shows: "POLLOUT means that a page of the pipe is free. A page becomes free when its last byte is read. \
            Bytes that fit behind those in the newest page can also be written, but poll does not report that \
            room.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let taken = drain(lab)?;
        last_page(lab)?;
        match taken {
            1 => Ok(0),
            CAPACITY => Ok(1),
            PAGE => Ok(2),
            8192 => Ok(3),
            other => Err(format!("none of the choices: after {other} bytes").into()),
        }
    })
}

/// How many bytes are read from a full pipe until poll reports it as writable.
fn drain(lab: &Lab) -> Result<usize> {
    let (reader, writer) = pipe_with(lab, CAPACITY)?;
    // ANCHOR: core
    let (mut taken, mut refused) = (0, true); // bytes read so far; whether every write failed
    loop {
        taken += read(&reader, &mut [0; 1])?;
        if writable(&writer)? {
            break; // poll reports POLLOUT
        }
        let outcome = write(&writer, b"x");
        refused = refused && outcome == Err(Errno::EAGAIN);
        // ANCHOR_END: core
        if taken == 1 || taken == PAGE - 1 {
            lab.note(format!("read so far: {taken}; poll: nothing; write 1 byte: {}", said(outcome)));
        }
    }
    lab.check(refused, "before POLLOUT, every write of 1 byte returns EAGAIN");
    lab.note(format!("read so far: {taken}; poll: {}", says(&writer)?));
    let outcome = write(&writer, &[b'x'; PAGE]);
    lab.note(format!("write 4096 bytes: {}; poll: {}", said(outcome), says(&writer)?));
    lab.check(outcome == Ok(PAGE), "after POLLOUT, a write of a whole page works");
    Ok(taken)
}

/// The room that poll does not report.
fn last_page(lab: &Lab) -> Result {
    let (_reader, writer) = pipe_with(lab, CAPACITY - 100)?;
    let before = writable(&writer)?;
    let outcome = write(&writer, &[b'x'; 100]);
    lab.note(format!("write 100 bytes: {}", said(outcome)));
    lab.check(
        !before && outcome == Ok(100),
        "100 bytes free in the newest page: no POLLOUT, but a write of 100 bytes works",
    );
    Ok(())
}

/// A pipe that holds this many bytes.
fn pipe_with(lab: &Lab, bytes: usize) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = lab.nonblocking_pipe(i32::try_from(CAPACITY)?)?;
    let outcome = write(&writer, &vec![b'x'; bytes]);
    lab.note(format!("a new pipe; write {bytes} bytes: {}; poll: {}", said(outcome), says(&writer)?));
    match outcome {
        Ok(length) if length == bytes => Ok((reader, writer)),
        other => Err(format!("{bytes} bytes into an empty pipe: {other:?}").into()),
    }
}

fn writable(writer: &OwnedFd) -> Result<bool> {
    let mut watched = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
    Ok(poll(&mut watched, PollTimeout::ZERO)? == 1 && watched[0].revents() == Some(PollFlags::POLLOUT))
}

fn says(writer: &OwnedFd) -> Result<&'static str> {
    Ok(if writable(writer)? { "POLLOUT" } else { "nothing" })
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |length| length.to_string())
}
