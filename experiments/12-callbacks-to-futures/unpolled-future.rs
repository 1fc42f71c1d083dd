//! An async function that is called, and what it has done: before its first poll, after it, and in between.

use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use experiments::{Choice, Lab, Question, Result, ask};
use ioloop::IoLoop;
use nix::errno::Errno;
use nix::unistd::{read, write};

const TURNS: usize = 1000;

const QUESTION: Question = Question {
    question: "What has an async function done if its future was never polled?",
    setup: "An async function writes a byte into a pipe, waits for an answer, and writes another byte. A \
            program calls it, keeps the future, and runs a loop for a thousand iterations; then the answer \
            comes, and the loop runs for a thousand more. What has been written?",
    choices: &[
        Choice::new("The first byte, and after the answer the second: the loop runs the function.")
            .because("A loop polls only the futures that it was given, and the caller kept this one."),
        Choice::new("The first byte: the call runs up to where it has to wait.")
            .because("The call only made the future. A first poll would have written the first byte."),
        Choice::new("Nothing: the future was never polled."),
    ],
    book: 2,
    shows: "Calling an async function makes a value and does nothing else. Its code runs when the value is \
            polled, up to the next wait. Between two polls it is only a value. A loop does not search for such \
            values: it polls the futures that it was given.",
    lane: "main",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let first = left_alone(lab)?;
        let second = polled_by_hand(lab)?;
        lab.check(owned(lab)?, "a future that was never polled owns its arguments until it is dropped");
        match (first, second) {
            ((1, 1), _) => Ok(0),
            ((1, 0), _) => Ok(1),
            ((0, 0), (1, 1)) => Ok(2),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

// ANCHOR: two_bytes
async fn two_bytes(pipe: OwnedFd, answers: OwnedFd) -> nix::Result<()> {
    write(&pipe, b"1")?;
    answered(&answers).await?;
    write(&pipe, b"2")?;
    Ok(())
}

/// Checks for an answer at each poll.
async fn answered(answers: &OwnedFd) -> nix::Result<()> {
    poll_fn(|_| match read(answers, &mut [0]) {
        Err(Errno::EAGAIN) => Poll::Pending,
        answer => Poll::Ready(answer.map(drop)),
    })
    .await
}
// ANCHOR_END: two_bytes

/// Call it, and run a loop. Gives how many bytes came before the answer, and how many after it.
fn left_alone(lab: &Lab) -> Result<(usize, usize)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let (answers, answer) = lab.nonblocking_pipe(4096)?;
    let operation = two_bytes(writer, answers);
    turn(TURNS)?;
    let before = arrived(&reader)?;
    write(&answer, b"!")?;
    turn(TURNS)?;
    let after = arrived(&reader)?;
    lab.note(format!("future 1, never polled: {before} bytes before the answer, {after} after it"));
    drop(operation);
    Ok((before, after))
}

/// Call it, and poll it. Gives how many bytes came with the first poll, and how many with the second.
fn polled_by_hand(lab: &Lab) -> Result<(usize, usize)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let (answers, answer) = lab.nonblocking_pipe(4096)?;
    let mut operation = pin!(two_bytes(writer, answers));
    let (first, began) = (poll_once(operation.as_mut()), arrived(&reader)?);
    lab.note(format!("future 2, polled by hand: returns {}, {began} byte was written", words(&first)));
    write(&answer, b"!")?;
    turn(TURNS)?;
    let between = arrived(&reader)?;
    lab.note(format!("future 2: the answer came, {TURNS} iterations: {between} more bytes"));
    let (second, ended) = (poll_once(operation.as_mut()), arrived(&reader)?);
    lab.note(format!("future 2, polled again: returns {}, {ended} more byte was written", words(&second)));
    lab.check(
        first.is_pending() && began == 1 && between == 0,
        "a poll runs up to the next wait; then nothing happens until the next poll",
    );
    lab.check(
        matches!(second, Poll::Ready(Ok(()))) && ended == 1,
        "the next poll goes on from there, to the end",
    );
    Ok((began, ended))
}

/// Poll by hand, with a waker that does nothing.
// ANCHOR: poll_once
fn poll_once<F: Future>(operation: Pin<&mut F>) -> Poll<F::Output> {
    operation.poll(&mut Context::from_waker(Waker::noop()))
}
// ANCHOR_END: poll_once

fn words<T>(poll: &Poll<T>) -> &'static str {
    if poll.is_ready() { "Ready" } else { "Pending" }
}

/// Run this many iterations of the thread's loop.
fn turn(turns: usize) -> Result {
    fn next(ioloop: &IoLoop, left: usize) {
        match left {
            0 => ioloop.stop(),
            _ => ioloop.add_callback(move |ioloop| next(ioloop, left - 1)),
        }
    }
    let ioloop = IoLoop::new()?;
    next(&ioloop, turns);
    Ok(ioloop.start()?)
}

/// How many bytes have come since the last look.
fn arrived(reader: &OwnedFd) -> Result<usize> {
    match read(reader, &mut [0; 64]) {
        Err(Errno::EAGAIN) => Ok(0),
        taken => Ok(taken?),
    }
}

/// Is a pipe's write end open until the operation that owns it, and is never polled, is dropped?
fn owned(lab: &Lab) -> Result<bool> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let (answers, _answer) = lab.nonblocking_pipe(4096)?;
    let operation = two_bytes(writer, answers);
    let before = read(&reader, &mut [0]);
    drop(operation);
    let after = read(&reader, &mut [0]);
    lab.note(format!("future 3, never polled: reader gets {}; after its drop: {}", got(before), got(after)));
    Ok(before == Err(Errno::EAGAIN) && after == Ok(0))
}

fn got(read: nix::Result<usize>) -> String {
    match read {
        Ok(0) => "end of file".into(),
        Ok(taken) => format!("{taken} bytes"),
        Err(errno) => format!("{errno:?}"),
    }
}
