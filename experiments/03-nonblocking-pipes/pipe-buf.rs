//! Writes to a pipe that has room for some of their bytes: which are refused, and which are split.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::libc::PIPE_BUF;
use nix::unistd::write;

/// Two pages.
const CAPACITY: usize = 8192;
const FREE: usize = 100;
const EAGAIN: nix::Result<usize> = Err(Errno::EAGAIN);

const QUESTION: Question = Question {
    question: "Which writes to a nearly full pipe are split?",
    setup: "A nonblocking pipe has 100 bytes free, in its last page. What does a write of 101 bytes to it \
            return, and what do writes of 4096 and of 4097 bytes?",
    choices: &[
        Choice::new("100, 100 and 100: each write takes what fits.")
            .because("Up to 4096 bytes, a write is all or nothing: the first two gave EAGAIN."),
        Choice::new("EAGAIN, EAGAIN and EAGAIN: a write that does not fit is refused, whatever its size.")
            .because("A write of more than 4096 bytes may be split: of 4097, 1 byte was taken."),
        Choice::new("EAGAIN, EAGAIN and 100: a write of more than 4096 bytes takes what fits.")
            .because(
                "Of 4097 bytes only the first was taken, although 100 bytes were free. Each whole page of a message \
                 needs a free slot, and there was none.",
            ),
        Choice::new(
            "EAGAIN, EAGAIN and 1: a write of more than 4096 bytes is split, but does not use all of \
                     the room.",
        ),
    ],
    book: 3,
    shows: "A write of up to PIPE_BUF bytes, 4096 on Linux, is taken whole or not at all. A larger write may be \
            split. Let r be the remainder of its size divided by 4096. This kernel begins with the first r bytes \
            of the message, if they fit into the last page: r is 100 for 4196 bytes, and 101 for 4197.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let mut pipe = new_pipe(lab)?;
        lab.note(format!("each time: a pipe of {CAPACITY} bytes, {FREE} of them free"));
        let mut seen = Vec::new();
        // ANCHOR: core
        for size in [100, 101, 4096, 4097, 4196, 4197] {
            let outcome = attempt(lab, &mut pipe, size)?; // one write
            // ANCHOR_END: core
            let said = outcome.map_or_else(|error| format!("{error:?}"), |length| length.to_string());
            lab.note(format!("write {size:4} bytes: {said}"));
            seen.push(outcome);
        }
        let mut whole = true;
        for size in 1..=PIPE_BUF {
            let expected = if size <= FREE { Ok(size) } else { EAGAIN };
            whole &= attempt(lab, &mut pipe, size)? == expected;
        }
        lab.check(whole, "from 1 to 4096 bytes, a write is taken whole if it fits, and else returns EAGAIN");
        lab.check(attempt(lab, &mut pipe, FREE)? == Ok(FREE), "after a refused write, 100 bytes still fit");
        lab.check(
            seen[4..] == [Ok(100), EAGAIN],
            "of 4196 bytes the first 100 are taken, and of 4197 bytes none",
        );
        match seen[1..4] {
            [Ok(100), Ok(100), Ok(100)] => Ok(0),
            [EAGAIN, EAGAIN, EAGAIN] => Ok(1),
            [EAGAIN, EAGAIN, Ok(100)] => Ok(2),
            [EAGAIN, EAGAIN, Ok(1)] => Ok(3),
            ref other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Read end and write end. The read end is there so that the pipe has a reader.
type Pipe = (OwnedFd, OwnedFd);

/// A pipe with 100 bytes free, in its last page.
fn new_pipe(lab: &Lab) -> Result<Pipe> {
    // ANCHOR: pipe
    let pipe = lab.nonblocking_pipe(i32::try_from(CAPACITY)?)?; // two pages
    match write(&pipe.1, &[b'x'; CAPACITY - FREE])? {
        // ANCHOR_END: pipe
        length if length == CAPACITY - FREE => Ok(pipe),
        length => Err(format!("an empty pipe of {CAPACITY} bytes took {length}").into()),
    }
}

/// Write this many bytes. A pipe that took some is replaced by a new one.
fn attempt(lab: &Lab, pipe: &mut Pipe, size: usize) -> Result<nix::Result<usize>> {
    let outcome = write(&pipe.1, &vec![b'x'; size]);
    if outcome.is_ok() {
        *pipe = new_pipe(lab)?;
    }
    Ok(outcome)
}
