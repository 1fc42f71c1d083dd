//! A message larger than the pipe, and three ideas of what to write after a part of it was taken.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Gate, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::unistd::{read, write};

const PAGE: usize = 4096;
const LENGTH: usize = 10_000;

const QUESTION: Question = Question {
    question: "A program has a message of 10000 bytes and a nonblocking pipe of 4096. It writes the message, \
               and the result is 4096. What must it write next, so that the reader gets the message?",
    choices: &[
        Choice::new("Nothing: the kernel adds the rest as the reader makes room."),
        Choice::new("The other 5904 bytes, and then what is left of them, as often as it takes."),
        Choice::new("The other 5904 bytes: the next write that does not give EAGAIN takes them all."),
        Choice::new("The message again, until a write takes all of it: one that did not counts for nothing."),
    ],
    book: 1,
    shows: "What was taken is in the pipe, in order, and the rest is the caller's to keep: the kernel knows \
            nothing of it. Each write takes a part. A caller that forgets the rest cuts its message short; \
            one that begins again sends its beginning twice.",
    lane: "reader",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let message: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
        let nothing = send(lab, &message, Next::Nothing)?.concat();
        lab.check(
            nothing.len() < LENGTH && message.starts_with(&nothing),
            "who writes nothing more has sent the beginning of the message, and no more than that",
        );
        let rest = send(lab, &message, Next::Rest)?;
        lab.check(
            rest.concat() == message,
            "who goes on where the count ended has sent the message, whole and in order",
        );
        let again = send(lab, &message, Next::Again)?.concat();
        lab.check(
            again.len() > PAGE && message.starts_with(&again[PAGE..]),
            "who begins again has sent the beginning of the message twice",
        );
        match (nothing == message, rest.concat() == message, again == message) {
            (true, _, _) => Ok(0),
            (false, true, false) if rest.len() > 2 => Ok(1),
            (false, true, false) => Ok(2),
            (false, _, true) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What the writer does after a write that took a part of the message.
#[derive(Clone, Copy)]
enum Next {
    Nothing,
    Rest,
    Again,
}

/// Have a writer send the message in its way. What this process gets: the bytes of each read.
fn send(lab: &mut Lab, message: &[u8], next: Next) -> Result<Vec<Vec<u8>>> {
    let (reader, writer) = lab.nonblocking_pipe(i32::try_from(PAGE)?)?;
    lab.note(match next {
        Next::Nothing => "a pipe of 4096 bytes, and a writer who writes once",
        Next::Rest => "a pipe of 4096 bytes, and one who keeps the rest",
        Next::Again => "a pipe of 4096 bytes, and one who begins again",
    });
    let (turn, room) = (lab.gate()?, lab.gate()?);
    let mut write_end = Some(writer);
    let child = lab.fork("writer", |lab| {
        let writer = write_end.take().ok_or("no write end")?;
        write_message(lab, &writer, message, next, (&turn, &room))?;
        lab.note("close");
        // Before the turn passes on, so that the reader finds the pipe closed.
        drop(writer);
        turn.open()?;
        Ok(0)
    })?;
    drop(write_end);
    let mut got = Vec::new();
    let mut buffer = [0; LENGTH];
    loop {
        turn.pass()?;
        // Everything that is there, and the end, if the writer has closed: else it waits for its turn.
        loop {
            match read(&reader, &mut buffer) {
                Ok(length) => {
                    lab.note(format!("read: {length}"));
                    if length == 0 {
                        child.status(lab)?;
                        return Ok(got);
                    }
                    got.push(buffer[..length].to_vec());
                }
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        room.open()?;
    }
}

/// A turn of the writer's lasts until a write gives EAGAIN.
fn write_message(lab: &Lab, writer: &OwnedFd, message: &[u8], next: Next, gates: (&Gate, &Gate)) -> Result {
    let (turn, room) = gates;
    let mut bytes = message;
    let mut beginnings = 0;
    while !bytes.is_empty() {
        let outcome = write(writer, bytes);
        let said = outcome.map_or_else(|error| format!("{error:?}"), |length| length.to_string());
        lab.note(format!("write {} bytes: {said}", bytes.len()));
        match (outcome, next) {
            (Err(Errno::EAGAIN), _) => {
                turn.open()?;
                room.pass()?;
            }
            (Err(error), _) => return Err(error.into()),
            (Ok(_), Next::Nothing) => break,
            (Ok(length), Next::Rest) => bytes = &bytes[length..],
            (Ok(length), Next::Again) => {
                beginnings += 1;
                // It would never end: the message is larger than the pipe. Twice shows what comes of it.
                if length == message.len() || beginnings == 2 {
                    break;
                }
            }
        }
    }
    Ok(())
}
