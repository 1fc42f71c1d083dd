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
    setup: "A pipe of 16384 bytes, four pages, is full. Its reader takes one byte after the other, and the \
            writer calls poll after each. After how many bytes does poll report POLLOUT?",
    choices: &[
        Choice::new("After 1: there is room for a byte.")
            .because("A partly read page is not free: POLLOUT came when a whole page was."),
        Choice::new("After 16384: poll reports it when the pipe is empty.")
            .because("POLLOUT came after 4096 bytes, with three pages still full."),
        Choice::new("After 4096: there is room for a page."),
        Choice::new("After 8192: poll waits for half of the pipe, so that writers are not woken for little.")
            .because("POLLOUT came after 4096 bytes: one free page is enough."),
    ],
    book: 2,
    shows: "A pipe is a ring of pages, and bytes read from the front of a page free no room: a page is free \
            once its last byte is read. POLLOUT means that a page is free. What fits behind the bytes in the \
            last page can be written too, but poll does not report that.",
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
            lab.note(format!("{taken} read; poll: nothing; write 1 byte: {}", said(outcome)));
        }
    }
    lab.check(refused, "until then not even 1 byte can be written: EAGAIN, after each byte read");
    lab.note(format!("{taken} read; poll: {}", says(&writer)?));
    let outcome = write(&writer, &[b'x'; PAGE]);
    lab.note(format!("write 4096 bytes: {}; poll: {}", said(outcome), says(&writer)?));
    lab.check(outcome == Ok(PAGE), "once poll reports POLLOUT, a whole page can be written");
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
        "100 bytes free in the last page: no POLLOUT, but a write of them works",
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
