//! Two writers to one pipe, which has room for a part of one writer's line.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::unistd::{read, write};

/// Two pages.
const CAPACITY: usize = 8192;
const FREE: usize = 100;

const QUESTION: Question = Question {
    question: "Can another process's bytes come between those of one write to a pipe?",
    setup: "Two processes write to a nonblocking pipe that has 100 bytes free. The first writes a long \
            line, which does not fit. The second writes 10 bytes. Then the reader empties the pipe, and the \
            first process writes the bytes of its line that the kernel has not taken. Can the 10 bytes come \
            between bytes of a line of 4096 bytes, or of 4097 bytes?",
    choices: &[
        Choice::new("No: the bytes of one write stay together.")
            .because("The line of 4097 bytes was split, and the 10 bytes came between its parts."),
        Choice::new("If the long line has 4097 bytes, yes. If it has 4096, no."),
        Choice::new("Yes, in both cases: the first 100 bytes of the line are in the pipe by then.")
            .because("Of the line of 4096 bytes the kernel took nothing, because not all of it fit."),
    ],
    book: 1,
    shows: "The kernel keeps the bytes of a write together if they are at most PIPE_BUF, 4096. A longer write \
            may be split, and another process's bytes can come between its parts. Processes that share a pipe \
            should write at most PIPE_BUF bytes at a time.",
    lane: "reader",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| match (inside(lab, 4096)?, inside(lab, 4097)?) {
        (false, false) => Ok(0),
        (false, true) => Ok(1),
        (true, true) => Ok(2),
        (true, false) => Err("none of the choices: inside 4096 bytes, but not inside 4097".into()),
    })
}

/// Do the 10 bytes come inside a line of this length?
fn inside(lab: &mut Lab, length: usize) -> Result<bool> {
    let (reader, writer) = lab.nonblocking_pipe(i32::try_from(CAPACITY)?)?;
    let filled = write(&writer, &[b'.'; CAPACITY - FREE])?;
    lab.note(format!("a pipe of {CAPACITY} bytes, {} of them free", CAPACITY - filled));
    let (tried, room) = (lab.gate()?, lab.gate()?);
    let long = lab.fork("long", |lab| {
        // ANCHOR: core
        let line = vec![b'a'; length];
        let outcome = write(&writer, &line);
        lab.note(format!("write {length} bytes: {}", said(outcome)));
        tried.open()?; // now the other process writes its 10 bytes,
        room.pass()?; // and the reader empties the pipe
        let taken = if outcome == Err(Errno::EAGAIN) { 0 } else { outcome? };
        let rest = &line[taken..];
        lab.note(format!("write {} bytes: {}", rest.len(), write(&writer, rest)?));
        // ANCHOR_END: core
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
        format!("all {length} bytes and all 10 bytes arrived"),
    );
    let runs: Vec<u8> = got.chunk_by(|one, next| one == next).map(|run| run[0]).collect();
    Ok(runs.windows(3).any(|three| three == b"aba"))
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |length| length.to_string())
}

/// Read all that the pipe holds. The note says what it was, in order, without the bytes that filled the pipe at first.
fn read_all(lab: &Lab, reader: &OwnedFd) -> Result<Vec<u8>> {
    let mut buffer = vec![0; CAPACITY];
    let length = read(reader, &mut buffer)?;
    buffer.truncate(length);
    let runs = buffer.chunk_by(|one, next| one == next).filter(|run| run[0] != b'.');
    let runs: Vec<String> = runs.map(|run| format!("{} × {:?}", run.len(), char::from(run[0]))).collect();
    lab.note(format!("read {length} bytes: {}", runs.join(", ")));
    Ok(buffer)
}
