//! A timer that starts itself again, in loops that run timers while they take them out and in one that does not.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, ask, vary};
use ioloop::{Events, IoLoop};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{read, write};

/// After so many runs in a row it is enough. Long before, even a clock with coarse ticks has moved on.
const FOR_EVER: usize = 1_000_000;
/// How often the book's loop is to run its timer.
const TURNS: usize = 100;

const QUESTION: Question = Question {
    question: "A timer has no delay: it is due at once. When it runs, it starts itself again. Meanwhile a \
               descriptor is ready. How often does it run before the descriptor's handler, in a loop that \
               runs timers as long as the first of them is due? And in one that takes out all that are due, \
               and then runs those?",
    choices: &[
        Choice::new("Once in both: the clock has moved on by then."),
        Choice::new("For ever in the first, once in the second."),
        Choice::new("For ever in both: a timer without a delay is always due."),
        Choice::new("Never in both: descriptors come before timers."),
    ],
    book: 1,
    shows: "What is due has to be settled before anything of it runs. To look at the clock once is not \
            enough for that: it helps against a timer that counts from a later look, and not against one \
            that counts from the same, or is due at a time that is past.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let looks = [
            ("a look at the clock for each, no delay", each as Looks, no_delay as Again),
            ("one look, no delay counted from that", once, from_that),
            ("one look, a deadline that is past", once, past),
            ("one look, no delay from a look of its own", once, no_delay),
        ];
        let mut runs = Vec::new();
        for (name, looks, again) in looks {
            let seen = run_while_taken(lab, looks, again)?;
            let ends = seen < FOR_EVER;
            let times = if ends { vary("few", seen) } else { seen.to_string() };
            let then = if ends { "then the handler" } else { "and no end" };
            lab.note(format!("{name}: {times}, {then}"));
            runs.push(seen);
        }
        let mut collected = Vec::new();
        for (name, past) in [("no delay", false), ("a deadline that is past", true)] {
            let (first, turns) = taken_first(lab, past)?;
            lab.note(format!("all taken out first, {name}: {first}, then the handler"));
            lab.note(format!("to run {TURNS} times it takes {turns} turns"));
            lab.check(turns == TURNS, format!("taken out first, {name}: it runs once a turn"));
            collected.push(first);
        }
        lab.check(
            runs[1] == FOR_EVER && runs[2] == FOR_EVER && runs[3] < FOR_EVER,
            "with one look at the clock it depends on the timer's deadline",
        );
        lab.check(collected[0] == collected[1], "taken out first, it does not");
        match (runs[0], collected[0]) {
            (1, 1) => Ok(0),
            (FOR_EVER, 1) => Ok(1),
            (FOR_EVER, TURNS) => Ok(2),
            (0, 0) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What the time is while timers are run, if this was it when that began.
type Looks = fn(&Instant, Duration) -> Duration;
/// When the timer is due again.
type Again = fn(&Instant, Duration) -> Duration;

fn each(clock: &Instant, _began: Duration) -> Duration {
    clock.elapsed()
}

fn once(_clock: &Instant, began: Duration) -> Duration {
    began
}

fn no_delay(clock: &Instant, _began: Duration) -> Duration {
    clock.elapsed()
}

fn from_that(_clock: &Instant, began: Duration) -> Duration {
    began
}

fn past(_clock: &Instant, _began: Duration) -> Duration {
    Duration::ZERO
}

/// A descriptor that is ready, and its other end.
fn ready(lab: &Lab) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, b"x")?;
    Ok((reader, writer))
}

/// The wrong way: run a timer as soon as it is taken out. How often does it run before the loop looks who is ready?
// ANCHOR: run_while_taken
fn run_while_taken(lab: &Lab, look: Looks, again: Again) -> Result<usize> {
    let (reader, _writer) = ready(lab)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let clock = Instant::now();
    let mut timers = BinaryHeap::from([Reverse(Duration::ZERO)]);
    let began = clock.elapsed();
    let mut runs = 0;
    while timers.peek().is_some_and(|Reverse(first)| *first <= look(&clock, began)) {
        timers.pop();
        runs += 1;
        if runs == FOR_EVER {
            return Ok(runs);
        }
        timers.push(Reverse(again(&clock, began)));
    }
    if epoll.wait(&mut [EpollEvent::empty()], 0_u8)? == 0 {
        return Err("the descriptor is not ready".into());
    }
    Ok(runs)
}
// ANCHOR_END: run_while_taken

/// The book's loop. How often the timer runs before the handler, and how many turns it takes to run it [`TURNS`] times.
fn taken_first(lab: &Lab, past: bool) -> Result<(usize, usize)> {
    let (reader, _writer) = ready(lab)?;
    let ioloop = IoLoop::new()?;
    let (runs, turns) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
    let first = Rc::<RefCell<Option<usize>>>::default();
    let (seen, before) = (Rc::clone(&runs), Rc::clone(&first));
    ioloop.add_handler(reader, Events::READ, move |_, reader, _| {
        before.borrow_mut().get_or_insert(seen.get());
        read(reader, &mut [0; 8]).map(drop)
    })?;
    let counted = Rc::clone(&turns);
    ioloop.subscribe(move |_, turn| counted.set(counted.get() + turn.timers.min(1)));
    start_again(&ioloop, &runs, past);
    ioloop.start()?;
    // The turn in which the loop was stopped is not over when it ends.
    Ok((first.take().unwrap_or(TURNS), turns.get() + 1))
}

fn start_again(ioloop: &IoLoop, runs: &Rc<Cell<usize>>, past: bool) {
    let runs = Rc::clone(runs);
    let deadline = if past { Duration::ZERO } else { ioloop.time() };
    ioloop.call_at(deadline, move |ioloop| {
        runs.set(runs.get() + 1);
        if runs.get() < TURNS { start_again(ioloop, &runs, past) } else { ioloop.stop() }
    });
}
