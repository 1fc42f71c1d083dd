//! What the loop does, iteration by iteration, from its own trace.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use experiments::{Axis, Choice, Lab, Lane, Plot, Question, Result, ask, vary};
use ioloop::{Events, IoLoop, Iteration};
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write};

const DELAY: Duration = Duration::from_millis(200);
/// The longest that a loop sleeps at a time.
const HOUR: Duration = Duration::from_secs(3600);

const QUESTION: Question = Question {
    question: "In which order does a loop run callbacks, timers and handlers?",
    setup: "A callback is queued, a timer is due, and a descriptor is ready. The timer queues another callback. \
            This callback starts a 200 ms timer, and that timer stops the loop. In which order do the first callback, the first \
            timer, the handler and the second callback run, and how often does the loop wait for events?",
    choices: &[
        Choice::new(
            "Callback, timer, callback, handler: what is queued runs before the loop waits. It waits \
                     once, and sleeps.",
        )
        .because("A callback that is queued during an iteration runs in the next one, after the handler."),
        Choice::new(
            "Callback, timer, handler, callback. It waits twice: once without sleeping, because a \
                     callback is queued, and once to sleep.",
        ),
        Choice::new("Timer, callback, handler, callback: what has a deadline is first. It waits twice.")
            .because("Callbacks come before timers: the callback was first."),
        Choice::new("Handler, callback, timer, callback: descriptors are first. It waits three times.")
            .because("The wait comes after callbacks and timers, so the handler was third."),
    ],
    book: 1,
    shows: "An iteration runs callbacks, then timers, then waits, then runs handlers. The loop computes the timeout \
            right before the wait, because callbacks and timers can change it: it is zero if a callback is queued, \
            or else the time until the nearest deadline, at most an hour.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (order, turns) = run(lab)?;
        let waits: Vec<_> = turns.iter().map(|turn| turn.timeout).collect();
        lab.check(waits.first() == Some(&Duration::ZERO), "with a callback queued, the timeout is zero");
        let second = waits.get(1).copied().unwrap_or_default();
        lab.check(
            second > Duration::ZERO && second <= DELAY,
            "without one, the timeout ends at the nearest deadline",
        );
        let slept =
            turns.get(1).map_or(Duration::ZERO, |turn| turn.sleep_end.saturating_sub(turn.sleep_start));
        lab.check(slept >= second, "the loop sleeps at least as long as the timeout");
        let longest = without_a_timer()?;
        lab.note(format!("another loop, without any timer: timeout {} s", longest.as_secs()));
        lab.check(longest == HOUR, "without a timer, the timeout is an hour");
        lab.draw(chart)?;
        match (&order[..], waits.len()) {
            (["callback", "timer", "callback", "handler", ..], 1) => Ok(0),
            (["callback", "timer", "handler", "callback", ..], 2) => Ok(1),
            (["timer", "callback", "handler", "callback", ..], 2) => Ok(2),
            (["handler", "callback", "timer", "callback", ..], 3) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// The list of what ran, and the lane to write it down on.
#[derive(Clone)]
struct Order(Rc<RefCell<Vec<&'static str>>>, Lane);

impl Order {
    fn ran(&self, what: &'static str, text: &str) {
        self.0.borrow_mut().push(what);
        self.1.note(format!("{what}{text}"));
    }
}

fn run(lab: &Lab) -> Result<(Vec<&'static str>, Vec<Iteration>)> {
    let (ioloop, order) = (IoLoop::new()?, Order(Rc::default(), (**lab).clone()));
    let (reader, _writer) = ready()?;
    let ran = order.clone();
    ioloop.add_handler(reader, Events::READ, move |_, reader, _| {
        ran.ran("handler", "");
        read(reader, &mut [0; 8]).map(drop)
    })?;
    let ran = order.clone();
    ioloop.call_at(Duration::ZERO, move |ioloop| {
        ran.ran("timer", ": adds a callback");
        let ran = ran.clone();
        ioloop.add_callback(move |ioloop| {
            ran.ran("callback", ": starts a 200 ms timer");
            ioloop.call_later(DELAY, move |ioloop| {
                ran.ran("timer", ": stops the loop");
                ioloop.stop();
            });
        });
    });
    let ran = order.clone();
    ioloop.add_callback(move |_| ran.ran("callback", ""));
    let turns = Rc::<RefCell<Vec<Iteration>>>::default();
    let (seen, lane) = (Rc::clone(&turns), (**lab).clone());
    ioloop.subscribe(move |_, turn| {
        lane.note(described(&turn));
        seen.borrow_mut().push(turn);
    });
    ioloop.start()?;
    Ok((order.0.take(), turns.take()))
}

/// Write down one iteration, as the loop reports it.
fn described(turn: &Iteration) -> String {
    let asked = if turn.timeout.is_zero() { "0".into() } else { vary("ms", millis(turn.timeout)) };
    let slept = vary("ms", millis(turn.sleep_end.saturating_sub(turn.sleep_start)));
    let Iteration { callbacks, timers, events, .. } = turn;
    format!(
        "iteration: callbacks {callbacks}, timers {timers}, ready {events}; timeout {asked}, slept {slept} ms"
    )
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// A pipe whose read end is ready: read end, write end.
fn ready() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    write(&writer, b"x")?;
    Ok((reader, writer))
}

/// The timeout of a loop that has no timer. A descriptor is ready, so it does not sleep.
fn without_a_timer() -> Result<Duration> {
    let (ioloop, asked) = (IoLoop::new()?, Rc::<Cell<Duration>>::default());
    let (reader, _writer) = ready()?;
    ioloop.add_handler(reader, Events::READ, |ioloop, _, _| ioloop.stop())?;
    let seen = Rc::clone(&asked);
    ioloop.subscribe(move |_, turn| seen.set(turn.timeout));
    ioloop.start()?;
    Ok(asked.get())
}

/// A loop with three timers, at 10, 20 and 40 ms, and a callback that computes for 15 ms when the first has run: how
/// long it still has to sleep, by the time.
fn chart() -> Result<Plot> {
    let ioloop = IoLoop::new()?;
    ioloop.call_later(Duration::from_millis(10), |ioloop| {
        ioloop.add_callback(|ioloop| {
            let until = ioloop.time() + Duration::from_millis(15);
            while ioloop.time() < until {}
        });
    });
    ioloop.call_later(Duration::from_millis(20), |_| ());
    ioloop.call_later(Duration::from_millis(40), IoLoop::stop);
    let turns = Rc::<RefCell<Vec<Iteration>>>::default();
    let seen = Rc::clone(&turns);
    ioloop.subscribe(move |_, turn| seen.borrow_mut().push(turn));
    ioloop.start()?;
    let turns = turns.take();
    let start = turns.first().map_or(Duration::ZERO, |turn| turn.start);
    let at = |time: Duration| time.saturating_sub(start).as_secs_f64() * 1e3;
    // It falls during each sleep, and is flat where the loop works.
    let mut left = Vec::new();
    for turn in &turns {
        let asked = turn.timeout.as_secs_f64() * 1e3;
        let rest = (turn.sleep_start + turn.timeout).saturating_sub(turn.sleep_end).as_secs_f64() * 1e3;
        left.extend([(at(turn.sleep_start), asked), (at(turn.sleep_end), rest)]);
    }
    Ok(Plot {
        title: "How long a loop still has to sleep: timers at 10, 20 and 40 ms, and 15 ms of work after the first",
        x: Axis::linear("time since the start", "ms"),
        y: Axis::linear("time left to sleep", "ms"),
        series: vec![("time left to sleep", left)],
    })
}
