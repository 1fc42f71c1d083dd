//! A deadline in one second, and a clock that somebody sets when half of it has passed. Nobody's clock is set here: the
//! machine is played, but for the last question, which the kernel answers.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, ask, vary};
use ioloop::poller::Kind;
use ioloop::{Clock, Config, Current, FakeClock, IoLoop};
use nix::time::{ClockId, clock_gettime, clock_settime};

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);
const HOUR: Duration = Duration::from_secs(3600);
/// Some time of day.
const NOON: Duration = Duration::from_secs(12 * 3600);

const QUESTION: Question = Question {
    question: "A loop has a timer for in one second. When half of the second has passed, somebody sets the \
               clock back by an hour. When does the timer run, if the loop has its time from that clock? And \
               if it has it from the monotonic one?",
    choices: &[
        Choice::new("After a second in both: the kernel sleeps for as long as it was told."),
        Choice::new("At once by the one, after a second by the other."),
        Choice::new("After an hour and a second by the one, after a second by the other."),
        Choice::new("After an hour and a second by both: what is set is the machine's only clock."),
    ],
    book: 2,
    shows: "The sleep lasts as long as it was told, and is over after a second. Then the loop looks at its \
            clock, finds that the deadline is an hour away, and sleeps again. The monotonic clock cannot be \
            set, so it does not know of any of this.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let by_wall = one_second(&Machine::set(Set::Back), Machine::wall, None);
        lab.note(format!(
            "wall clock, set back an hour after 0.5 s: it runs after {} s",
            by_wall.as_secs_f64()
        ));
        let by_monotonic = one_second(&Machine::set(Set::Back), Machine::monotonic, None);
        lab.note(format!("monotonic clock, the same: after {} s", by_monotonic.as_secs_f64()));
        let other_way = one_second(&Machine::set(Set::Forward), Machine::wall, None);
        lab.note(format!("wall clock, set forward an hour: after {} s", other_way.as_secs_f64()));
        let woken = Some(Duration::from_millis(600));
        let early = one_second(&Machine::set(Set::Forward), Machine::wall, woken);
        lab.note(format!("the same, and a descriptor is ready after 0.6 s: after {} s", early.as_secs_f64()));
        lab.check(early < other_way, "set forward, the timer is early if anything wakes the loop");
        let ours = the_loop()?;
        lab.note(format!("the book's loop, by a clock that nobody sets: after {} s", ours.as_secs_f64()));
        lab.check(ours == SECOND, "the loop looks at one clock, its own");
        nobody_sets_it(lab)?;
        match (by_wall, by_monotonic) {
            (SECOND, SECOND) => Ok(0),
            (wall, SECOND) if wall < SECOND => Ok(1),
            (wall, SECOND) if wall == HOUR + SECOND => Ok(2),
            (wall, other) if wall == other => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What somebody does to the wall clock after half a second.
#[derive(Clone, Copy)]
enum Set {
    Back,
    Forward,
}

/// A machine with two clocks, on which time passes when somebody sleeps.
struct Machine {
    /// Since the timer was started.
    passed: Cell<Duration>,
    set: Set,
}

impl Machine {
    fn set(set: Set) -> Self {
        Self { passed: Cell::default(), set }
    }

    fn monotonic(&self) -> Duration {
        self.passed.get()
    }

    fn wall(&self) -> Duration {
        let right = NOON + self.passed.get();
        match self.set {
            _ if self.passed.get() < HALF => right,
            Set::Back => right - HOUR,
            Set::Forward => right + HOUR,
        }
    }

    /// As the kernel does for a timeout: it is so much time, whatever the clocks say meanwhile.
    fn sleep(&self, time: Duration) {
        self.passed.set(self.passed.get() + time);
    }
}

/// A loop with one timer, and its time from `clock`. After how long does that run? At `ready`, something wakes the loop.
// ANCHOR: one_second
fn one_second(machine: &Machine, clock: fn(&Machine) -> Duration, ready: Option<Duration>) -> Duration {
    let deadline = clock(machine) + SECOND;
    loop {
        let now = clock(machine);
        if now >= deadline {
            return machine.passed.get();
        }
        let timeout = deadline - now;
        let until_ready = ready.and_then(|ready| ready.checked_sub(machine.passed.get()));
        let until_ready = until_ready.filter(|time| !time.is_zero());
        machine.sleep(until_ready.map_or(timeout, |time| time.min(timeout)));
    }
}
// ANCHOR_END: one_second

/// The book's loop, with a timer of a second, on a clock that is played and that nobody sets.
fn the_loop() -> Result<Duration> {
    let clock = FakeClock::default();
    clock.advance(NOON);
    let config = Config { poller: Kind::Epoll, clock: Clock::Fake(clock), make_current: Current::No };
    let ioloop = IoLoop::with(config)?;
    let (started, ran) = (ioloop.time(), Rc::<Cell<Duration>>::default());
    let at = Rc::clone(&ran);
    ioloop.call_later(SECOND, move |ioloop| {
        at.set(ioloop.time());
        ioloop.stop();
    });
    ioloop.start()?;
    Ok(ran.get() - started)
}

/// May somebody set the monotonic clock, to what it says anyway?
fn nobody_sets_it(lab: &Lab) -> Result {
    let clock = ClockId::CLOCK_MONOTONIC;
    let answer = clock_settime(clock, clock_gettime(clock)?);
    let word = answer.map_or_else(|error| format!("{error:?}"), |()| "done".into());
    lab.note(format!("clock_settime(CLOCK_MONOTONIC), the kernel's: {}", vary("error", word)));
    lab.check(answer.is_err(), "nobody sets the monotonic clock");
    Ok(())
}
