//! A nonblocking pipe at its two limits, and what tells "nothing there" from the end.

use std::process::ExitCode;

use experiments::{Choice, Question, Result, ask, cannot_ask};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};

const QUESTION: Question = Question {
    question: "A new pipe is nonblocking and holds 65536 bytes. A program reads from it, writes 100000 \
               bytes, and then writes 1 byte more. What do the three calls give?",
    choices: &[
        Choice::new("0, 65536 and 0: a count of zero says that nothing was there, or no room."),
        Choice::new(
            "EAGAIN, 65536 and EAGAIN: a write takes what fits, and an error means that nothing was \
                     done.",
        ),
        Choice::new(
            "EAGAIN, EAGAIN and 1: a write that does not fit is refused, and a smaller one is taken.",
        ),
        Choice::new(
            "EAGAIN, 100000 and EAGAIN: a write that has begun is taken whole, and the next must \
                     wait.",
        ),
    ],
    book: 1,
    shows: "Where a call would have to wait, a nonblocking one fails with EAGAIN. A large write that fits in \
            part is no failure: its result says how much of it was taken. And 0 from read is not \"nothing \
            yet\", it is the end.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let capacity = usize::try_from(fcntl(&writer, FcntlArg::F_GETPIPE_SZ)?)?;
        if capacity != 65536 {
            return Err(cannot_ask(format!("a new pipe holds {capacity} bytes here, not 65536")));
        }
        lab.note(format!("pipe, nonblocking; F_GETPIPE_SZ: {capacity} bytes"));
        let mut buffer = vec![0; 100_000];
        let empty = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(empty)));
        let large = write(&writer, &buffer);
        lab.note(format!("write 100000 bytes: {}", said(large)));
        let full = write(&writer, b"x");
        lab.note(format!("write 1 byte: {}", said(full)));

        let drained = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(drained)));
        lab.check(drained == large, "what was taken can be read, and no byte more");
        let again = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(again)));
        lab.check(
            again == Err(Errno::EAGAIN),
            "empty, and a writer is left: EAGAIN, there may be more to come",
        );
        drop(writer);
        lab.note("close the write end");
        let end = read(&reader, &mut buffer);
        lab.note(format!("read: {}", said(end)));
        lab.check(end == Ok(0), "empty, and no writer is left: 0, which is end of file");
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
