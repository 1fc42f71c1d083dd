//! A state machine by hand, and the same as an async function: what each poll returns, and what is kept between two.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use experiments::{Choice, Lab, Question, Result, ask, vary};
use nix::unistd::{read, write};

const QUESTION: Question = Question {
    question: "How often is an async function with two awaits polled if it never has to wait?",
    setup: "An async function awaits a byte from a pipe, keeps it in a variable, awaits a second byte, and returns the \
            sum. Both bytes are in the pipe before the first poll. How many polls does it take until the future is \
            ready?",
    choices: &[
        Choice::new("One."),
        Choice::new("Two: each await needs one poll.")
            .because("The first byte was there, so the same poll went on to the second await."),
        Choice::new("Three: each await is Pending once, and one more poll returns the sum.")
            .because("An await returns Pending only if what it waits for is not ready."),
    ],
    book: 0,
    shows: "A poll runs the function as far as it gets. An await whose future is ready costs no poll. An await whose \
            future is pending ends the poll, and the next poll goes on at the same await. A state machine that was \
            written by hand does the same, with the same results: between two polls it is a value, which says where \
            it stands and has what it needs later.",
    lane: "main",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let polls = both_at_once(lab)?;
        one_at_a_time(lab)?;
        lab.note(format!(
            "by hand {} bytes; the async function's future {}",
            vary("size", size_of::<Sum>()),
            vary("size", size_of_val(&sum(lab.nonblocking_pipe(4096)?.0)))
        ));
        match polls {
            1..=3 => Ok(polls - 1),
            other => Err(format!("none of the choices: {other} polls").into()),
        }
    })
}

// ANCHOR: by_hand
struct Sum {
    pipe: OwnedFd,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    First,
    Second { first: u8 },
    Done,
}

impl Future for Sum {
    type Output = u8;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        loop {
            match self.state {
                State::First => match read_byte(&self.pipe) {
                    Some(first) => self.state = State::Second { first },
                    None => return Poll::Pending,
                },
                State::Second { first } => match read_byte(&self.pipe) {
                    Some(second) => {
                        self.state = State::Done;
                        return Poll::Ready(first + second);
                    }
                    None => return Poll::Pending,
                },
                State::Done => panic!("polled after Ready"),
            }
        }
    }
}
// ANCHOR_END: by_hand

// ANCHOR: by_the_compiler
async fn sum(pipe: OwnedFd) -> u8 {
    let first = Byte(&pipe).await;
    let second = Byte(&pipe).await;
    first + second
}
// ANCHOR_END: by_the_compiler

// ANCHOR: byte
/// Ready when a byte is in the pipe.
struct Byte<'a>(&'a OwnedFd);

impl Future for Byte<'_> {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        match read_byte(self.0) {
            Some(byte) => Poll::Ready(byte),
            None => Poll::Pending,
        }
    }
}
// ANCHOR_END: byte

/// A byte, or nothing if there is none now.
fn read_byte(pipe: &OwnedFd) -> Option<u8> {
    let mut byte = [0];
    read(pipe, &mut byte).is_ok_and(|length| length == 1).then_some(byte[0])
}

/// Polls until the future is ready. The waker does nothing.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts the polls of the async function if both bytes are there.
fn both_at_once(lab: &Lab) -> Result<usize> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, &[7, 10])?;
    let mut future = pin!(sum(reader));
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(sum) = poll(future.as_mut()) {
            lab.note(format!("both bytes are there: poll {polls} returns Ready({sum})"));
            return Ok(polls);
        }
        if polls == 10 {
            return Err("pending after ten polls".into());
        }
    }
}

/// Polls both machines before the first byte, after it, and after the second one.
fn one_at_a_time(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let (other_reader, other_writer) = lab.nonblocking_pipe(4096)?;
    let mut by_hand = Sum { pipe: reader, state: State::First };
    let mut by_compiler = pin!(sum(other_reader));
    let mut both = Vec::new();
    for byte in [None, Some(7), Some(10)] {
        if let Some(byte) = byte {
            write(&writer, &[byte])?;
            write(&other_writer, &[byte])?;
            lab.note(format!("a byte, {byte}"));
        }
        let before = by_hand.state;
        let polled = [poll(Pin::new(&mut by_hand)), poll(by_compiler.as_mut())];
        lab.note(format!("by hand: {before:?} → {:?}, returns {:?}", by_hand.state, polled[0]));
        lab.note(format!("async:   returns {:?}", polled[1]));
        both.push(polled);
    }
    let same = both.iter().all(|[by_hand, by_compiler]| by_hand == by_compiler);
    lab.check(same, "the machine by hand and the async function return the same from each poll");
    let last = both.last().is_some_and(|[by_hand, _]| *by_hand == Poll::Ready(17));
    let pending = both.iter().filter(|[by_hand, _]| by_hand.is_pending()).count();
    lab.check(last && pending == 2, "with one byte at a time, the polls return Pending, Pending, Ready(17)");
    Ok(())
}
