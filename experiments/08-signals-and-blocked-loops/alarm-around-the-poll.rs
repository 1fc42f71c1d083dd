//! Ways to watch a loop that has nothing to do, what each costs, and whom it notices.

use std::cell::{Cell, RefCell};
use std::hint::spin_loop;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, ask};
use ioloop::IoLoop;
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

const THRESHOLD: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_millis(500);
/// How long a callback blocks at most, if nobody notices.
const LIMIT: Duration = Duration::from_secs(20);
const TURNS: usize = 100;

/// How often the alarm went off.
static ALARMS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "A loop is to be told of whoever blocks it for 100 ms. When its wait returns it sets a timer, \
               whose signal is the alarm. Now it has nothing to do for 500 ms. Does the alarm go off, if the \
               timer is left as it is? If it is taken back before the wait? And if there is no timer, but a \
               thread that looks every 100 ms at a number which the loop counts up before and after its \
               wait?",
    choices: &[
        Choice::new("Never, never, never: a loop that waits is not run, so nothing is blocked."),
        Choice::new("Again and again; never; never."),
        Choice::new("Again and again; never; again and again: the number stands still."),
        Choice::new("Once; never; never: after that the timer is over."),
    ],
    book: 1,
    shows: "A timer does not know whether its time is spent in code or in a wait, and interrupts either. \
            Taken back before each wait it is right, for two system calls a turn. A number tells another \
            thread the same for none: even is asleep, odd is at work, and odd and the same as before is \
            blocked.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // First, while this process has one thread and may fork.
        the_books(lab)?;
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        let left = watched(lab, By::TimerLeft, "a timer");
        let back = watched(lab, By::TimerTakenBack, "a timer, taken back");
        let number = watched(lab, By::Number, "a number, and a thread");
        let own = watched(lab, By::CpuTime, "a timer of its own time");
        let (seen, own) = ([left?, back?, number?], own?);
        let both = seen.iter().all(|seen| seen.computes && seen.waits);
        lab.check(both, "the first three notice a callback that computes, and one that waits");
        let own = own.computes && !own.waits;
        lab.check(own, "by the time that a thread computes, who waits is not noticed");
        match seen.map(|seen| seen.idle).into() {
            (0, 0, 0) => Ok(0),
            (2.., 0, 0) => Ok(1),
            (2.., 0, 2..) => Ok(2),
            (1, 0, 0) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

extern "C" fn count(_: c_int) {
    ALARMS.fetch_add(1, Ordering::AcqRel);
}

/// By what a loop is watched.
#[derive(Clone, Copy, PartialEq)]
enum By {
    TimerLeft,
    TimerTakenBack,
    Number,
    /// A timer that is left, and counts the time that the thread computes.
    CpuTime,
}

/// What came of a watch: alarms while there was nothing to do, and who was noticed.
struct Seen {
    idle: usize,
    computes: bool,
    waits: bool,
}

/// A loop, watched in one of these ways, that has nothing to do, and then a callback that computes, and one that waits.
fn watched(lab: &Lab, by: By, name: &str) -> Result<Seen> {
    let named =
        SigevNotify::SigevThreadId { signal: Signal::SIGALRM, thread_id: gettid().as_raw(), si_value: 0 };
    let clock = match by {
        By::CpuTime => ClockId::CLOCK_THREAD_CPUTIME_ID,
        _ => ClockId::CLOCK_MONOTONIC,
    };
    let (timer, epoll) =
        (Timer::new(clock, SigEvent::new(named))?, Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
    let number = AtomicUsize::new(1);
    let turns =
        Turns { by, epoll, timer: timer.into(), number: &number, turns: Cell::new(0), calls: Cell::new(0) };
    let (over, here) = (AtomicBool::default(), pthread_self());
    let seen = thread::scope(|scope| {
        let watcher = (by == By::Number).then(|| scope.spawn(|| look_at(&number, &over, here)));
        let seen = turns.all();
        over.store(true, Ordering::Release);
        watcher.iter().for_each(|watcher| watcher.thread().unpark());
        seen
    })?;
    let idle = if seen.idle > 1 { "again and again".into() } else { seen.idle.to_string() };
    let calls = turns.calls.get() / turns.turns.get();
    lab.note(format!("{name}: alarms in the wait: {idle}; calls a turn: {calls}"));
    let [computes, waits] =
        [seen.computes, seen.waits].map(|noticed| if noticed { "noticed" } else { "not" });
    lab.note(format!("{name}: who computes: {computes}; who waits: {waits}"));
    Ok(seen)
}

/// A loop that waits and does nothing else, and what its watch needs.
struct Turns<'a> {
    by: By,
    epoll: Epoll,
    timer: RefCell<Timer>,
    /// Odd while the loop is at work, even while it waits.
    number: &'a AtomicUsize,
    turns: Cell<usize>,
    /// System calls that were made for the watch.
    calls: Cell<usize>,
}

impl Turns<'_> {
    fn all(&self) -> Result<Seen> {
        // One wait, so that it is watched from here on.
        self.wait(Duration::ZERO)?;
        ALARMS.store(0, Ordering::Release);
        let began = Instant::now();
        while let Some(left) = IDLE.checked_sub(began.elapsed()) {
            self.wait(left)?;
        }
        // On a busy machine there may have been no time for a second one.
        while ALARMS.load(Ordering::Acquire) == 1 && began.elapsed() < LIMIT {
            self.wait(IDLE)?;
        }
        let idle = ALARMS.load(Ordering::Acquire);
        let computes = self.noticed(LIMIT, spin_loop)?;
        // Its own time stands still meanwhile, so that one is not waited for.
        let limit = if self.by == By::CpuTime { 4 * THRESHOLD } else { LIMIT };
        let waits = self.noticed(limit, || thread::sleep(THRESHOLD / 10))?;
        Ok(Seen { idle, computes, waits })
    }

    /// After a wait, a callback does this until the alarm goes off, for so long at most: does it?
    fn noticed(&self, limit: Duration, this: fn()) -> Result<bool> {
        self.wait(Duration::ZERO)?;
        ALARMS.store(0, Ordering::Release);
        let began = Instant::now();
        while ALARMS.load(Ordering::Acquire) == 0 && began.elapsed() < limit {
            this();
        }
        Ok(ALARMS.load(Ordering::Acquire) > 0)
    }

    // ANCHOR: wait
    fn wait(&self, time: Duration) -> Result {
        match self.by {
            By::TimerLeft | By::CpuTime => {}
            By::TimerTakenBack => self.set(Duration::ZERO)?,
            By::Number => drop(self.number.fetch_add(1, Ordering::AcqRel)),
        }
        let timeout = u16::try_from(time.as_millis() + 1)?;
        let outcome = self.epoll.wait(&mut [EpollEvent::empty()], timeout);
        match self.by {
            By::TimerLeft | By::TimerTakenBack | By::CpuTime => self.set(THRESHOLD)?,
            By::Number => drop(self.number.fetch_add(1, Ordering::AcqRel)),
        }
        self.turns.set(self.turns.get() + 1);
        match outcome {
            // Interrupted, it goes round once more.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }
    // ANCHOR_END: wait

    fn set(&self, time: Duration) -> Result {
        self.calls.set(self.calls.get() + 1);
        Ok(self.timer.borrow_mut().set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?)
    }
}

/// The thread that looks at the number: the same odd one as before is a loop that is blocked since then.
// ANCHOR: look_at
fn look_at(number: &AtomicUsize, over: &AtomicBool, the_loop: Pthread) -> nix::Result<()> {
    let (mut before, mut told) = (0, 0);
    while !over.load(Ordering::Acquire) {
        thread::park_timeout(THRESHOLD);
        let now = number.load(Ordering::Acquire);
        if now % 2 == 1 && now == before && now != told {
            pthread_kill(the_loop, Signal::SIGALRM)?;
            told = now;
        }
        before = now;
    }
    Ok(())
}
// ANCHOR_END: look_at

/// What the book's loop makes of it, counted from outside.
fn the_books(lab: &mut Lab) -> Result {
    let mut a_turn = |watched| -> Result<_> {
        let calls =
            lab.count(libc::SYS_timer_settime, || many_turns(watched), |ioloop| Ok(ioloop.start()?))?;
        Ok(calls.map(|calls| calls / TURNS))
    };
    // Under a tracer there is no other, and nothing is counted.
    let (Some(bare), Some(watched)) = (a_turn(false)?, a_turn(true)?) else { return Ok(()) };
    lab.note(format!("the book's loop: calls a turn: {bare}; watched: {watched}"));
    lab.check(
        (bare, watched) == (0, 4),
        "the book's loop makes none if nobody watches it, and else four a turn",
    );
    Ok(())
}

/// The book's loop, and what keeps it going for so many turns.
fn many_turns(watched: bool) -> Result<IoLoop> {
    let ioloop = IoLoop::new()?;
    if watched {
        ioloop.set_blocking_threshold(Some(LIMIT), |_| ())?;
    }
    again(&ioloop, TURNS);
    Ok(ioloop)
}

fn again(ioloop: &IoLoop, turns: usize) {
    match turns {
        0 => ioloop.stop(),
        _ => ioloop.add_callback(move |ioloop| again(ioloop, turns - 1)),
    }
}
