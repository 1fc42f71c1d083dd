//! Ways to watch a loop that has nothing to do, what each costs, and what it notices.

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
/// How long a callback blocks at most, if no alarm goes off.
const LIMIT: Duration = Duration::from_secs(20);
const TURNS: usize = 100;

/// How often the alarm went off.
static ALARMS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "How often does a watchdog fire while its loop has nothing to do?",
    setup: "A watchdog should fire when a loop works for 100 ms without a wait. Now the loop waits for 500 ms with nothing \
            to do. How often does the watchdog fire meanwhile if it is a timer that is armed after each wait; if it is \
            this timer, disarmed before each wait; if it is a thread that looks every 100 ms at a number, which the loop \
            increments before and after each wait?",
    choices: &[
        Choice::new("None of the three fires: a loop that waits does not run, so nothing is blocked.")
            .because("An armed timer does not know that the loop waits: its signal interrupts the wait."),
        Choice::new("The armed timer fires again and again. The other two do not fire."),
        Choice::new("The armed timer and the thread fire again and again: the number does not change.")
            .because("During a wait the number is even, and the thread signals only if it is odd."),
        Choice::new("The armed timer fires once, and then it has expired. The other two do not fire.")
            .because("The alarm ends the wait, and after the wait the loop arms the timer again."),
    ],
    book: 1,
    shows: "A timer does not know whether time passes in code or in a wait, and its signal interrupts either. A timer that \
            is disarmed before each wait fires for code only, but needs two system calls in each iteration. A number \
            needs none: even means that the loop waits, and the same odd number twice means that it is blocked.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // First, while this process has one thread and may fork.
        count_own_loop(lab)?;
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        let left = watched(lab, By::TimerKept, "armed timer");
        let back = watched(lab, By::TimerDisarmed, "disarmed timer");
        let number = watched(lab, By::Number, "number and thread");
        let own = watched(lab, By::CpuTime, "CPU-time timer");
        let (seen, own) = ([left?, back?, number?], own?);
        let both = seen.iter().all(|seen| seen.computes && seen.waits);
        lab.check(both, "the first three notice a callback that computes, and a callback that waits");
        let own = own.computes && !own.waits;
        lab.check(own, "a timer of CPU time does not notice a callback that waits");
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

/// How a loop is watched.
#[derive(Clone, Copy, PartialEq)]
enum By {
    TimerKept,
    TimerDisarmed,
    Number,
    /// A timer that stays armed and counts the thread's CPU time.
    CpuTime,
}

/// What a watchdog did: alarms while the loop had nothing to do, and the callbacks that it noticed.
struct Seen {
    idle: usize,
    computes: bool,
    waits: bool,
}

/// Watch a loop that has nothing to do, then runs a callback that computes, then one that waits.
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
    let idle = if seen.idle > 1 { "again and again".into() } else { format!("{} times", seen.idle) };
    let calls = turns.calls.get() / turns.turns.get();
    lab.note(format!("{name}: fires in the wait: {idle}; timer calls: {calls}"));
    let [computes, waits] =
        [seen.computes, seen.waits].map(|noticed| if noticed { "seen" } else { "not seen" });
    lab.note(format!("{name}: callback that computes: {computes}; that waits: {waits}"));
    Ok(seen)
}

/// A loop that only waits, and what its watchdog needs.
struct Turns<'a> {
    by: By,
    epoll: Epoll,
    timer: RefCell<Timer>,
    /// Odd while the loop works, even while it waits.
    number: &'a AtomicUsize,
    turns: Cell<usize>,
    /// System calls that were made for the watchdog.
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
        // On a busy machine there may have been no time for a second alarm.
        while ALARMS.load(Ordering::Acquire) == 1 && began.elapsed() < LIMIT {
            self.wait(IDLE)?;
        }
        let idle = ALARMS.load(Ordering::Acquire);
        let computes = self.noticed(LIMIT, spin_loop)?;
        // CPU time stands still meanwhile, so that alarm never comes.
        let limit = if self.by == By::CpuTime { 4 * THRESHOLD } else { LIMIT };
        let waits = self.noticed(limit, || thread::sleep(THRESHOLD / 10))?;
        Ok(Seen { idle, computes, waits })
    }

    /// After a wait, do this until the alarm goes off, for `limit` at most. Gives whether the alarm went off.
    fn noticed(&self, limit: Duration, this: fn()) -> Result<bool> {
        self.wait(Duration::ZERO)?;
        ALARMS.store(0, Ordering::Release);
        let began = Instant::now();
        while ALARMS.load(Ordering::Acquire) == 0 && began.elapsed() < limit {
            this();
        }
        Ok(ALARMS.load(Ordering::Acquire) > 0)
    }

    fn wait(&self, time: Duration) -> Result {
        // ANCHOR: wait
        match self.by {
            By::TimerKept | By::CpuTime => {}
            By::TimerDisarmed => self.set(Duration::ZERO)?,
            By::Number => drop(self.number.fetch_add(1, Ordering::AcqRel)),
        }
        let timeout = u16::try_from(time.as_millis() + 1)?;
        let outcome = self.epoll.wait(&mut [EpollEvent::empty()], timeout);
        match self.by {
            By::TimerKept | By::TimerDisarmed | By::CpuTime => self.set(THRESHOLD)?,
            By::Number => drop(self.number.fetch_add(1, Ordering::AcqRel)),
        }
        // ANCHOR_END: wait
        self.turns.set(self.turns.get() + 1);
        match outcome {
            // Interrupted, the loop waits again.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    fn set(&self, time: Duration) -> Result {
        self.calls.set(self.calls.get() + 1);
        Ok(self.timer.borrow_mut().set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?)
    }
}

/// The thread that looks at the number. The same odd number as before means a loop that has been blocked since.
// ANCHOR: look_at
fn look_at(number: &AtomicUsize, over: &AtomicBool, the_loop: Pthread) -> nix::Result<()> {
    let (mut before, mut reported) = (0, 0);
    while !over.load(Ordering::Acquire) {
        thread::park_timeout(THRESHOLD);
        let now = number.load(Ordering::Acquire);
        if now % 2 == 1 && now == before && now != reported {
            pthread_kill(the_loop, Signal::SIGALRM)?;
            reported = now;
        }
        before = now;
    }
    Ok(())
}
// ANCHOR_END: look_at

/// Count the timer calls of the book's loop from outside.
fn count_own_loop(lab: &mut Lab) -> Result {
    let mut a_turn = |watched| -> Result<_> {
        let calls =
            lab.count(libc::SYS_timer_settime, || many_turns(watched), |ioloop| Ok(ioloop.start()?))?;
        Ok(calls.map(|calls| calls / TURNS))
    };
    // A process that is traced cannot be traced again, so nothing is counted then.
    let (Some(bare), Some(watched)) = (a_turn(false)?, a_turn(true)?) else { return Ok(()) };
    lab.note(format!("the book's loop: timer calls: {bare}; with a watchdog: {watched}"));
    let both = (bare, watched) == (0, 2);
    lab.check(both, "an iteration of the book's loop makes no timer call, and two with a watchdog");
    Ok(())
}

/// The book's loop, with callbacks for this many iterations.
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
