//! A full pipe, drained a byte at a time, and the moment at which poll calls it writable.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

const PAGE: usize = 4096;
const CAPACITY: usize = 4 * PAGE;

const QUESTION: Question = Question {
    question: "A pipe of 16384 bytes, four pages, is full. Its reader takes one byte after the other, and \
               the writer asks poll each time. After how many bytes does poll say POLLOUT?",
    choices: &[
        Choice::new("After 1: there is room for a byte."),
        Choice::new("After 16384: it says so when the pipe is empty."),
        Choice::new("After 4096: there is room for a page."),
        Choice::new("After 8192: it waits for half of the pipe, so that writers are not woken for little."),
    ],
    book: 2,
    shows: "A pipe is a ring of pages, and bytes taken from the front of a page leave no room: it is free \
            once its last byte is read. POLLOUT says that a page is free. What fits behind the bytes in the \
            last page can be written too, but poll does not speak of it.",
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

/// How many bytes are read from a full pipe until poll says that it is writable.
fn drain(lab: &Lab) -> Result<usize> {
    let (reader, writer) = pipe_with(lab, CAPACITY)?;
    let mut taken = 0;
    let mut refused = true;
    loop {
        taken += read(&reader, &mut [0; 1])?;
        if writable(&writer)? {
            break;
        }
        let outcome = write(&writer, b"x");
        refused &= outcome == Err(Errno::EAGAIN);
        if taken == 1 || taken == PAGE - 1 {
            lab.note(format!("{taken} read; poll: nothing; write 1 byte: {}", said(outcome)));
        }
    }
    lab.check(refused, "until then not even 1 byte can be written: EAGAIN, after each byte read");
    lab.note(format!("{taken} read; poll: {}", says(&writer)?));
    let outcome = write(&writer, &[b'x'; PAGE]);
    lab.note(format!("write 4096 bytes: {}; poll: {}", said(outcome), says(&writer)?));
    lab.check(outcome == Ok(PAGE), "once poll says POLLOUT, a whole page can be written");
    Ok(taken)
}

/// The room that poll does not tell of.
fn last_page(lab: &Lab) -> Result {
    let (_reader, writer) = pipe_with(lab, CAPACITY - 100)?;
    let before = writable(&writer)?;
    let outcome = write(&writer, &[b'x'; 100]);
    lab.note(format!("write 100 bytes: {}", said(outcome)));
    lab.check(
        !before && outcome == Ok(100),
        "no POLLOUT with 100 bytes free in the last page, and yet they fit",
    );
    Ok(())
}

/// A pipe with so many bytes in it.
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
