//! A nonblocking pipe, empty and full, and what tells "nothing yet" from end of file.

use std::process::ExitCode;

use experiments::{Choice, Question, Result, ask, cannot_ask};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};

const QUESTION: Question = Question {
    question: "What do a read from an empty and a write to a full nonblocking pipe return?",
    setup: "A new nonblocking pipe is empty and has room for 65536 bytes. A program reads from it, writes \
            100000 bytes, and then writes 1 byte more. What do the three calls return?",
    choices: &[
        Choice::new("0, 65536 and 0: zero means that there was nothing to read, or no room.")
            .because("0 from read means end of file. The write end was open, so read returned EAGAIN."),
        Choice::new(
            "EAGAIN, 65536 and EAGAIN: a write takes what fits, and an error means that nothing was \
                     done.",
        ),
        Choice::new(
            "EAGAIN, EAGAIN and 1: a write that does not fit is refused, and a smaller one is taken.",
        )
        .because("The large write was not refused: it took the 65536 bytes that fit."),
        Choice::new(
            "EAGAIN, 100000 and EAGAIN: a write that has begun is taken whole, and the next is \
                     refused.",
        )
        .because("The large write took 65536 bytes: a nonblocking write does not wait for room."),
    ],
    book: 1,
    shows: "Where a blocking call would wait, a nonblocking call fails with EAGAIN. If a part of a large write \
            fits, the write succeeds, and returns how many bytes it took. A read that returns 0 does not mean \
            \"nothing yet\": it means end of file.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // ANCHOR: core
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let mut buffer = vec![0; 100_000];
        let empty = read(&reader, &mut buffer);
        let large = write(&writer, &buffer);
        let full = write(&writer, b"x");
        // ANCHOR_END: core
        let capacity = usize::try_from(fcntl(&writer, FcntlArg::F_GETPIPE_SZ)?)?;
        if capacity != 65536 {
            return Err(cannot_ask(format!("a new pipe holds {capacity} bytes here, not 65536")));
        }
        lab.note(format!("pipe, nonblocking; F_GETPIPE_SZ: {capacity} bytes"));
        lab.note(format!("read: {}", said(empty)));
        lab.note(format!("write 100000 bytes: {}", said(large)));
        lab.note(format!("write 1 byte: {}", said(full)));

        let drained = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(drained)));
        lab.check(drained == large, "the read returns as many bytes as the large write took");
        let again = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(again)));
        lab.check(
            again == Err(Errno::EAGAIN),
            "an empty pipe whose write end is open: EAGAIN, because more may come",
        );
        drop(writer);
        lab.note("close the write end");
        let end = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(end)));
        lab.check(end == Ok(0), "an empty pipe whose write end is closed: 0, which is end of file");
        choice(empty, large, full)
    })
}

fn choice(empty: nix::Result<usize>, large: nix::Result<usize>, full: nix::Result<usize>) -> Result<usize> {
    const EAGAIN: nix::Result<usize> = Err(Errno::EAGAIN);
    match (empty, large, full) {
        (Ok(0), Ok(65536), Ok(0)) => Ok(0),
        (EAGAIN, Ok(65536), EAGAIN) => Ok(1),
        (EAGAIN, EAGAIN, Ok(1)) => Ok(2),
        (EAGAIN, Ok(100_000), EAGAIN) => Ok(3),
        other => Err(format!("none of the choices: {other:?}").into()),
    }
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"))
}
