//! A timer that starts itself again, in loops that run timers while they take them out, and in one that collects them first.

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

/// How many runs in a row are enough. Long before, even a clock with coarse ticks has moved on.
const FOR_EVER: usize = 1_000_000;
/// How many times the book's loop runs its timer.
const TURNS: usize = 100;

const QUESTION: Question = Question {
    question: "How often does a timer that restarts itself run before a ready descriptor's handler?",
    setup: "A timer without a delay starts itself again each time it runs. Meanwhile a descriptor is ready. \
            How often does the timer run before the descriptor's handler in a loop that runs timers as long \
            as one is due, and how often in a loop that first collects all due timers and then runs them?",
    choices: &[
        Choice::new("Once in both: the clock has moved on by then.")
            .because("The restarted timer is due at once: the first loop ran it a million times."),
        Choice::new("Forever in the first, once in the second."),
        Choice::new("Forever in both: a timer without a delay is always due.")
            .because("A timer that is started while the collected timers run waits for the next iteration."),
        Choice::new("Never in both: descriptors come before timers.")
            .because("Both loops run due timers before they wait for descriptors."),
    ],
    book: 1,
    shows: "A loop must collect the due timers before it runs any of them. Reading the clock once is not enough: it \
            does not help if the timer computes its new deadline from the same reading, or has a deadline in the past.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let looks = [
            ("1: clock read after each timer, new deadline: now", each as Looks, no_delay as Again),
            ("2: clock read once, new deadline: that same time", once, from_that),
            ("3: clock read once, new deadline: in the past", once, past),
            ("4: clock read once, new deadline: read anew", once, no_delay),
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
        for (name, past) in [("no delay", false), ("a deadline in the past", true)] {
            let (first, turns) = taken_first(lab, past)?;
            lab.note(format!("due timers collected first, {name}: {first}, then the handler"));
            lab.note(format!("this timer runs {TURNS} times in {turns} iterations"));
            lab.check(
                turns == TURNS,
                format!("collected first, {name}: the timer runs once in each iteration"),
            );
            collected.push(first);
        }
        lab.check(
            runs[1] == FOR_EVER && runs[2] == FOR_EVER && runs[3] < FOR_EVER,
            "if the loop reads the clock once and does not collect, the timer runs forever or not, depending on its deadline",
        );
        lab.check(
            collected[0] == collected[1],
            "if the loop collects first, the deadline makes no difference",
        );
        match (runs[0], collected[0]) {
            (1, 1) => Ok(0),
            (FOR_EVER, 1) => Ok(1),
            (FOR_EVER, TURNS) => Ok(2),
            (0, 0) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// The time that a loop sees while it runs timers, given the time at which it began.
type Looks = fn(&Instant, Duration) -> Duration;
/// The timer's new deadline.
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

/// A pipe whose read end is ready: read end, write end.
fn ready(lab: &Lab) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, b"x")?;
    Ok((reader, writer))
}

/// The wrong way: run a timer as soon as it is taken out. How often does it run before the loop waits for descriptors?
fn run_while_taken(lab: &Lab, look: Looks, again: Again) -> Result<usize> {
    let (reader, _writer) = ready(lab)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let clock = Instant::now();
    let mut timers = BinaryHeap::from([Reverse(Duration::ZERO)]);
    let began = clock.elapsed();
    let mut runs = 0;
    // ANCHOR: core
    while timers.peek().is_some_and(|Reverse(first)| *first <= look(&clock, began)) {
        timers.pop();
        runs += 1;
        if runs == FOR_EVER {
            return Ok(runs);
        }
        timers.push(Reverse(again(&clock, began)));
    }
    // ANCHOR_END: core
    if epoll.wait(&mut [EpollEvent::empty()], 0_u8)? == 0 {
        return Err("the descriptor is not ready".into());
    }
    Ok(runs)
}

/// The book's loop. How often the timer runs before the handler, and how many iterations it takes to run it [`TURNS`] times.
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
    // The iteration in which the loop was stopped has not ended, and is not counted yet.
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
