//! A message larger than the pipe, and three ideas of what to write after a partial write.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Gate, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::unistd::{read, write};

const PAGE: usize = 4096;
const LENGTH: usize = 10_000;

const QUESTION: Question = Question {
    question: "What must a program do after a partial write?",
    setup: "A program writes a message of 10000 bytes to a nonblocking pipe, and write returns 4096. What \
            must it write next, so that the reader gets the whole message?",
    choices: &[
        Choice::new("Nothing: the kernel adds the rest as the reader makes room.")
            .because("The kernel has only the bytes that write took: the reader got 4096 bytes."),
        Choice::new("The other 5904 bytes, and then what is left of them, as often as it takes."),
        Choice::new("The other 5904 bytes: the next write that does not give EAGAIN takes them all.")
            .because("The pipe has room for 4096 bytes, so 5904 bytes take more than one write."),
        Choice::new("The whole message again, until one write takes all of it.")
            .because("The bytes that a write took stay in the pipe: the reader got the beginning twice."),
    ],
    book: 1,
    shows: "The bytes that a write took are in the pipe. The caller must keep the rest and write it later. A caller that forgets the rest cuts its message short. A caller that \
            starts over sends the beginning twice.",
    lane: "reader",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let message: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
        let nothing = send(lab, &message, Next::Nothing)?.concat();
        lab.check(
            nothing.len() < LENGTH && message.starts_with(&nothing),
            "the writer that writes once has sent only the beginning of the message",
        );
        let rest = send(lab, &message, Next::Rest)?;
        lab.check(
            rest.concat() == message,
            "the writer that keeps the rest has sent the whole message in order",
        );
        let again = send(lab, &message, Next::Again)?.concat();
        lab.check(
            again.len() > PAGE && message.starts_with(&again[PAGE..]),
            "the writer that starts over has sent the beginning of the message twice",
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

/// Fork a writer that sends the message in its way. Gives the bytes of each read.
fn send(lab: &mut Lab, message: &[u8], next: Next) -> Result<Vec<Vec<u8>>> {
    let (reader, writer) = lab.nonblocking_pipe(i32::try_from(PAGE)?)?;
    lab.note(match next {
        Next::Nothing => "a pipe of 4096 bytes; the writer writes once",
        Next::Rest => "a pipe of 4096 bytes; the writer keeps the rest",
        Next::Again => "a pipe of 4096 bytes; the writer starts over",
    });
    let (turn, room) = (lab.gate()?, lab.gate()?);
    let mut write_end = Some(writer);
    let child = lab.fork("writer", |lab| {
        let writer = write_end.take().ok_or("no write end")?;
        write_message(lab, &writer, message, next, (&turn, &room))?;
        lab.note("close");
        // Before the reader's turn, so that it finds the pipe closed.
        drop(writer);
        turn.open()?;
        Ok(0)
    })?;
    drop(write_end);
    let mut got = Vec::new();
    let mut buffer = [0; LENGTH];
    loop {
        turn.pass()?;
        // Until the pipe is empty, or at its end if the writer has closed it: else the writer waits for its turn.
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

/// Writes until nothing is left. After an EAGAIN it is the reader's turn.
fn write_message(lab: &Lab, writer: &OwnedFd, message: &[u8], next: Next, gates: (&Gate, &Gate)) -> Result {
    let (mut bytes, mut beginnings) = (message, 0);
    // Starting over would never end, because the message is larger than the pipe. Two rounds show the effect.
    while !bytes.is_empty() && beginnings < 2 {
        let outcome = write(writer, bytes);
        let said = outcome.map_or_else(|error| format!("{error:?}"), |length| length.to_string());
        lab.note(format!("write {} bytes: {said}", bytes.len()));
        // ANCHOR: core
        match outcome {
            Err(Errno::EAGAIN) => wait_for_room(gates)?,
            Err(error) => return Err(error.into()),
            Ok(taken) => match next {
                Next::Nothing => break,
                Next::Rest => bytes = &bytes[taken..],
                Next::Again if taken == message.len() => break,
                Next::Again => beginnings += 1, // `bytes` is the whole message still
            },
        }
        // ANCHOR_END: core
    }
    Ok(())
}

/// Lets the reader empty the pipe.
fn wait_for_room((turn, room): (&Gate, &Gate)) -> Result {
    turn.open()?;
    room.pass()
}
