//! A deadline in one second, and a clock that is set when half of it has passed. No real clock is set here: the machine
//! is simulated, except for the last question, which the kernel answers.

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
/// A time of day.
const NOON: Duration = Duration::from_secs(12 * 3600);

const QUESTION: Question = Question {
    question: "When does a timer run if the time of day is set back before its deadline?",
    setup: "A loop has a 1 s timer. After half a second the wall clock is set back by an hour. When does the \
            timer run if the loop reads the wall clock, and when if it reads the monotonic clock?",
    choices: &[
        Choice::new("After a second in both cases: the kernel sleeps as long as the timeout.")
            .because("The sleep ended after a second, but by the wall clock the timer was not due."),
        Choice::new("At once with the wall clock, after a second with the monotonic clock.")
            .because("Setting the clock back moves the deadline an hour further away, so the timer is late."),
        Choice::new(
            "After an hour and a second with the wall clock, after a second with the monotonic \
                     clock.",
        ),
        Choice::new("After an hour and a second in both cases: the machine has only one clock.")
            .because("The machine has a second clock, the monotonic one, and that clock cannot be set."),
    ],
    book: 2,
    shows: "The sleep ends after its timeout, a second. Then the loop reads the wall clock, finds that the \
            deadline is an hour away, and sleeps again. The monotonic clock cannot be set, so a loop that \
            reads it is not affected.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let by_wall = one_second(&Machine::set(Set::Back), Machine::wall, None);
        lab.note(format!(
            "wall clock, set back an hour after 0.5 s: the timer runs after {} s",
            by_wall.as_secs_f64()
        ));
        let by_monotonic = one_second(&Machine::set(Set::Back), Machine::monotonic, None);
        lab.note(format!(
            "monotonic clock, the wall clock set back in the same way: after {} s",
            by_monotonic.as_secs_f64()
        ));
        let other_way = one_second(&Machine::set(Set::Forward), Machine::wall, None);
        lab.note(format!("wall clock, set forward an hour after 0.5 s: after {} s", other_way.as_secs_f64()));
        let woken = Some(Duration::from_millis(600));
        let early = one_second(&Machine::set(Set::Forward), Machine::wall, woken);
        lab.note(format!(
            "the same, and a descriptor becomes ready after 0.6 s: after {} s",
            early.as_secs_f64()
        ));
        lab.check(
            early < other_way,
            "if the wall clock is set forward, the timer is early as soon as anything wakes the loop",
        );
        let ours = the_loop()?;
        lab.note(format!("the book's loop, with a clock that is never set: after {} s", ours.as_secs_f64()));
        lab.check(ours == SECOND, "the book's loop reads one clock, the one that it was given");
        on_a_fake_clock(lab)?;
        match (by_wall, by_monotonic) {
            (SECOND, SECOND) => Ok(0),
            (wall, SECOND) if wall < SECOND => Ok(1),
            (wall, SECOND) if wall == HOUR + SECOND => Ok(2),
            (wall, other) if wall == other => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// How the wall clock is set after half a second.
#[derive(Clone, Copy)]
enum Set {
    Back,
    Forward,
}

/// A simulated machine with two clocks, on which time passes while the loop sleeps.
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

    /// Sleep as the kernel does for a timeout: for this long, whatever the clocks say meanwhile. A descriptor that is ready
    /// at `ready` ends the sleep.
    fn sleep(&self, timeout: Duration, ready: Option<Duration>) {
        let until_ready = ready.and_then(|ready| ready.checked_sub(self.passed.get()));
        let until_ready = until_ready.filter(|time| !time.is_zero());
        self.passed.set(self.passed.get() + until_ready.map_or(timeout, |time| time.min(timeout)));
    }
}

/// A loop with one timer that reads `clock`. Gives when the timer runs. At `ready`, a descriptor wakes the loop.
// ANCHOR: core
fn one_second(machine: &Machine, clock: fn(&Machine) -> Duration, ready: Option<Duration>) -> Duration {
    let deadline = clock(machine) + SECOND;
    loop {
        let now = clock(machine);
        if now >= deadline {
            return machine.passed.get();
        }
        machine.sleep(deadline - now, ready);
    }
}
// ANCHOR_END: core

/// The book's loop, with a 1 s timer, on a fake clock that is never set.
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

/// May this process set the monotonic clock, to what it says anyway?
fn on_a_fake_clock(lab: &Lab) -> Result {
    let clock = ClockId::CLOCK_MONOTONIC;
    let answer = clock_settime(clock, clock_gettime(clock)?);
    let word = answer.map_or_else(|error| format!("{error:?}"), |()| "done".into());
    lab.note(format!("clock_settime(CLOCK_MONOTONIC), the kernel's: {}", vary("error", word)));
    lab.check(answer.is_err(), "the monotonic clock cannot be set");
    Ok(())
}
