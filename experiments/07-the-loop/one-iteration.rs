//! What the loop does, turn by turn, out of its own trace.

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
    question: "A callback is queued, a timer is due, and a descriptor is ready. The timer's callback adds \
               another callback, which starts a timer for in 200 ms, which stops the loop. In which order \
               does it all run, and how often does the loop ask who is ready?",
    choices: &[
        Choice::new(
            "Callback, timer, callback, handler: what is queued is run before anybody is asked. It \
                     asks once, and sleeps.",
        ),
        Choice::new(
            "Callback, timer, handler, callback. It asks twice: once without waiting, since a \
                     callback is queued, and once to sleep.",
        ),
        Choice::new("Timer, callback, handler, callback: what has a time is first. It asks twice."),
        Choice::new("Handler, callback, timer, callback: who is ready is asked first. It asks three times."),
    ],
    book: 1,
    shows: "A turn is callbacks, then timers, then the wait, then handlers. How long the wait may be is \
            worked out last, when everything has run that could change it: nothing at all with a callback \
            queued, else until the nearest deadline, and at most an hour.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (order, turns) = run(lab)?;
        let waits: Vec<_> = turns.iter().map(|turn| turn.timeout).collect();
        lab.check(
            waits.first() == Some(&Duration::ZERO),
            "with a callback queued it waits for no time at all",
        );
        let second = waits.get(1).copied().unwrap_or_default();
        lab.check(
            second > Duration::ZERO && second <= DELAY,
            "else until the nearest deadline, less what has passed since it was set",
        );
        let slept = turns.get(1).map_or(Duration::ZERO, |turn| turn.sleep_end.saturating_sub(turn.sleep_start));
        lab.check(slept >= second, "it sleeps at least as long as it was told");
        let longest = without_a_timer()?;
        lab.note(format!("without any timer it would sleep for {} s", longest.as_secs()));
        lab.check(longest == HOUR, "without a timer, an hour at most");
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

/// What ran, and writes it down.
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
            ran.ran("callback", ": starts a timer of 200 ms");
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
        lane.note(told(&turn));
        seen.borrow_mut().push(turn);
    });
    ioloop.start()?;
    Ok((order.0.take(), turns.take()))
}

/// One turn, as the loop tells it.
fn told(turn: &Iteration) -> String {
    let asked = if turn.timeout.is_zero() { "0".into() } else { vary("ms", millis(turn.timeout)) };
    let slept = vary("ms", millis(turn.sleep_end.saturating_sub(turn.sleep_start)));
    let Iteration { callbacks, timers, events, .. } = turn;
    format!(
        "turn: callbacks {callbacks}, timers {timers}, ready {events}; asked {asked} ms, slept {slept} ms"
    )
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

/// A descriptor that is ready, and its other end.
fn ready() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    write(&writer, b"x")?;
    Ok((reader, writer))
}

/// How long a loop is going to sleep that has no timer. Something is ready, so it does not.
fn without_a_timer() -> Result<Duration> {
    let (ioloop, asked) = (IoLoop::new()?, Rc::<Cell<Duration>>::default());
    let (reader, _writer) = ready()?;
    ioloop.add_handler(reader, Events::READ, |ioloop, _, _| ioloop.stop())?;
    let seen = Rc::clone(&asked);
    ioloop.subscribe(move |_, turn| seen.set(turn.timeout));
    ioloop.start()?;
    Ok(asked.get())
}

/// A loop with three timers, at 10, 20 and 40 ms, and a callback that computes for 15 ms when the first has run: when
/// it works, and when it sleeps.
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
    // A line that falls while it sleeps: what is left of what it asked for. And one that rises while it works.
    let mut asleep = Vec::new();
    let mut at_work = Vec::new();
    for turn in &turns {
        let worked = turn.sleep_start.saturating_sub(turn.start).as_secs_f64() * 1e3;
        at_work.extend([(at(turn.start), 0.0), (at(turn.sleep_start), worked)]);
        let left = (turn.sleep_start + turn.timeout).saturating_sub(turn.sleep_end).as_secs_f64() * 1e3;
        asleep.extend([(at(turn.sleep_start), turn.timeout.as_secs_f64() * 1e3), (at(turn.sleep_end), left)]);
    }
    Ok(Plot {
        title: "Turns of a loop with timers at 10, 20 and 40 ms, and a callback of 15 ms between the first two",
        x: Axis::linear("time since the start", "ms"),
        y: Axis::linear("time", "ms"),
        series: vec![("left of the sleep", asleep), ("worked in this turn", at_work)],
    })
}
