//! Two writers to one pipe, of whom one gets in for a part of its line.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::unistd::{read, write};

/// Two pages.
const CAPACITY: usize = 8192;
const FREE: usize = 100;

const QUESTION: Question = Question {
    question: "Two programs write to one nonblocking pipe, in which 100 bytes are free. One has a long line, \
               and keeps what a write does not take until the reader has made room; meanwhile the other \
               writes 10 bytes. Does the reader find the 10 bytes inside the long line?",
    choices: &[
        Choice::new("No: what one program writes with one call stays in one piece."),
        Choice::new("If the long line has 4097 bytes; not if it has 4096."),
        Choice::new("Yes, with 4096 as with 4097: its first 100 bytes are in the pipe by then."),
    ],
    book: 1,
    shows: "The kernel keeps a write in one piece up to PIPE_BUF, 4096 bytes: of one that does not fit \
            nothing gets in. Above, a part may get in before the rest, and others come between. Processes \
            that share a pipe write no more than PIPE_BUF at a time.",
    lane: "reader",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| match (inside(lab, 4096)?, inside(lab, 4097)?) {
        (false, false) => Ok(0),
        (false, true) => Ok(1),
        (true, true) => Ok(2),
        (true, false) => Err("none of the choices: inside 4096 bytes, and not inside 4097".into()),
    })
}

/// Are the 10 bytes inside a line of that length?
fn inside(lab: &mut Lab, length: usize) -> Result<bool> {
    let (reader, writer) = lab.nonblocking_pipe(i32::try_from(CAPACITY)?)?;
    let filled = write(&writer, &[b'.'; CAPACITY - FREE])?;
    lab.note(format!("a pipe of {CAPACITY} bytes, {} of them free", CAPACITY - filled));
    let (tried, room) = (lab.gate()?, lab.gate()?);
    let long = lab.fork("long", |lab| {
        let line = vec![b'a'; length];
        let taken = match write(&writer, &line) {
            Err(Errno::EAGAIN) => 0,
            other => other?,
        };
        lab.note(format!(
            "write {length} bytes: {}",
            if taken == 0 { "EAGAIN".into() } else { taken.to_string() }
        ));
        tried.open()?;
        room.pass()?;
        let rest = &line[taken..];
        lab.note(format!("write {} bytes: {}", rest.len(), write(&writer, rest)?));
        Ok(0)
    })?;
    tried.pass()?;
    let short = lab.fork("short", |lab| {
        lab.note(format!("write 10 bytes: {}", write(&writer, &[b'b'; 10])?));
        Ok(0)
    })?;
    short.status(lab)?;
    let mut got = read_all(lab, &reader)?;
    room.open()?;
    long.status(lab)?;
    got.extend(read_all(lab, &reader)?);

    let count = |letter| got.iter().filter(|byte| **byte == letter).count();
    lab.check(
        (count(b'a'), count(b'b')) == (length, 10),
        format!("all {length} and all 10 bytes have come through"),
    );
    let runs: Vec<u8> = got.chunk_by(|one, next| one == next).map(|run| run[0]).collect();
    Ok(runs.windows(3).any(|three| three == b"aba"))
}

/// What the pipe holds. Writes down what is in it, in order, without what filled it from the beginning.
fn read_all(lab: &Lab, reader: &OwnedFd) -> Result<Vec<u8>> {
    let mut buffer = vec![0; CAPACITY];
    let length = read(reader, &mut buffer)?;
    buffer.truncate(length);
    let runs = buffer.chunk_by(|one, next| one == next).filter(|run| run[0] != b'.');
    let runs: Vec<String> = runs.map(|run| format!("{} × {:?}", run.len(), char::from(run[0]))).collect();
    lab.note(format!("read {length} bytes: {}", runs.join(", ")));
    Ok(buffer)
}
