//! A deadline between two whole milliseconds, and the timeout that a loop makes of it.

use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use std::ptr;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, vary};
use nix::errno::Errno;
use nix::libc::{SYS_epoll_pwait2, epoll_event, sigset_t, syscall};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

const DEADLINE: Duration = Duration::from_micros(4900);
/// A deadline just after a whole millisecond, which rounding up moves the most.
const EARLY: Duration = Duration::from_micros(4100);
/// How often to try what gives the same result each time.
const ATTEMPTS: usize = 10;
/// How often to try what other processes can disturb: a process that gets no processor until the deadline is past has
/// nothing left to wait for.
const PATIENCE: usize = 200;

const QUESTION: Question = Question {
    question: "How often does a loop call epoll_wait until 4.9 ms are over, if it rounds timeouts down?",
    setup: "The only timer of a loop is due in 4.9 ms. epoll_wait takes a timeout in whole milliseconds, and the loop \
            rounds down: it waits for 4 ms, then for the rest in whole milliseconds, and so on until the timer is \
            due. How often does it call epoll_wait?",
    choices: &[
        Choice::new("Once: the kernel sleeps a little longer than the timeout in any case.")
            .because("The kernel sleeps longer, but by far less than the 0.9 ms that are left."),
        Choice::new("Twice: 4 ms, and then the rest.")
            .because("The rest, 0.9 ms, is rounded down to 0, and a wait of 0 returns at once."),
        Choice::new("Five times: four waits of 1 ms, and one for the rest.")
            .because("The first wait took 4 ms, and each wait after it had a timeout of 0."),
        Choice::new("Hundreds or thousands of times."),
    ],
    book: 3,
    shows: "After 4 ms, 0.9 ms are left. Rounded down to whole milliseconds, that is a timeout of 0: the wait returns at \
            once, and so do the next ones. A loop that rounds up waits once, and is up to a millisecond late. \
            epoll_pwait2 takes nanoseconds: the loop waits once and is nearly on time.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let cut = polls(&epoll, DEADLINE, rounded_down, PATIENCE, |seen| seen.most > 5)?;
        lab.note(format!("due in 4.9 ms, rounded down: {} waits", vary("waits", cut.most)));
        for (name, wait) in [("rounded up", rounded_up as Wait), ("epoll_pwait2", exact)] {
            let seen = polls(&epoll, DEADLINE, wait, ATTEMPTS, |_| false)?;
            lab.note(format!("{name}: {} wait, in {} of {ATTEMPTS} attempts", seen.most, seen.once));
            lab.check(seen.once == ATTEMPTS, format!("{name}: the loop waits once, every time"));
        }
        lateness(lab, &epoll)?;
        special(lab)?;
        match cut.most {
            1 => Ok(0),
            2 => Ok(1),
            5 => Ok(2),
            0 => Err("no wait at all".into()),
            _ => Ok(3),
        }
    })
}

/// What several attempts came to.
struct Seen {
    /// The most waits that one of them took.
    most: usize,
    /// How many took one wait.
    once: usize,
    /// By how much the best of them missed the deadline.
    late: Duration,
}

/// One wait of a loop that has this much time left.
type Wait = fn(&Epoll, Duration) -> Result;

/// Wait for a deadline, again and again, until `enough` holds.
fn polls(
    epoll: &Epoll,
    due: Duration,
    wait: Wait,
    attempts: usize,
    enough: impl Fn(&Seen) -> bool,
) -> Result<Seen> {
    let mut seen = Seen { most: 0, once: 0, late: Duration::MAX };
    for _ in 0..attempts {
        let deadline = Instant::now() + due;
        let (mut left, mut waits) = (due, 0);
        while !left.is_zero() {
            wait(epoll, left)?;
            waits += 1;
            left = deadline.saturating_duration_since(Instant::now());
        }
        seen.late = seen.late.min(deadline.elapsed());
        seen.most = seen.most.max(waits);
        seen.once += usize::from(waits == 1);
        if enough(&seen) {
            break;
        }
    }
    Ok(seen)
}

// ANCHOR: down
fn rounded_down(epoll: &Epoll, left: Duration) -> Result {
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::try_from(left.as_millis())?)?;
    Ok(())
}
// ANCHOR_END: down

// ANCHOR: core
fn rounded_up(epoll: &Epoll, left: Duration) -> Result {
    let millis = left.as_nanos().div_ceil(1_000_000);
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::try_from(millis)?)?;
    Ok(())
}
// ANCHOR_END: core

/// epoll_pwait2, which nix does not have, and neither has an older C library.
fn exact(epoll: &Epoll, left: Duration) -> Result {
    let timeout = [i64::try_from(left.as_secs())?, i64::from(left.subsec_nanos())];
    let mut event = epoll_event { events: 0, u64: 0 };
    let (fd, room, no_mask) = (epoll.0.as_fd().as_raw_fd(), 1_i32, ptr::null::<sigset_t>());
    // SAFETY: there is room for one event, as the call is told, the kernel's timespec is two numbers of 64 bits, and
    // both outlive the call. Without a signal mask its size is not looked at.
    let answer =
        unsafe { syscall(SYS_epoll_pwait2, fd, &raw mut event, room, &raw const timeout, no_mask, 0_usize) };
    match Errno::result(answer) {
        // A sandbox that does not know a call yet may say either.
        Err(error @ (Errno::ENOSYS | Errno::EPERM)) => {
            Err(cannot_ask(format!("epoll_pwait2, which came with Linux 5.11, does not work here: {error}")))
        }
        other => {
            other?;
            Ok(())
        }
    }
}

/// Show by how much a deadline of 4.1 ms is missed.
fn lateness(lab: &Lab, epoll: &Epoll) -> Result {
    let most = Duration::from_micros(900);
    let up = polls(epoll, EARLY, rounded_up, ATTEMPTS, |_| false)?.late;
    let fine = polls(epoll, EARLY, exact, PATIENCE, |seen| seen.late < most / 2)?.late;
    let [by, fine_by] = [up, fine].map(|late| vary("µs", late.as_micros()));
    lab.note(format!("due in 4.1 ms; least delay: rounded up {by} µs, epoll_pwait2 {fine_by} µs"));
    lab.check(
        up >= most && fine < most,
        "4.1 ms, rounded up, is 5 ms at least, every time; epoll_pwait2 is nearer",
    );
    Ok(())
}

/// Show what the timeouts 0, 5 and -1 mean.
fn special(lab: &Lab) -> Result {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let wait = |timeout: EpollTimeout| epoll.wait(&mut [EpollEvent::empty()], timeout);
    let start = Instant::now();
    let (none, five) = (wait(EpollTimeout::ZERO)?, wait(5_u8.into())?);
    let elapsed = start.elapsed();
    lab.note(format!("timeout 0: {none} events, at once; timeout 5: {five} events, after 5 ms"));
    let milliseconds = elapsed >= Duration::from_millis(5) && elapsed < Duration::from_secs(4);
    lab.check(
        (none, five) == (0, 0) && milliseconds,
        "with timeout 0 the call returns at once; with 5, after 5 milliseconds",
    );
    timer.set(Expiration::OneShot(TimeSpec::from_duration(DEADLINE)), TimerSetTimeFlags::empty())?;
    let forever = wait(EpollTimeout::NONE)?;
    lab.note(format!("timeout -1, and a timerfd becomes ready later: {forever} event"));
    lab.check(forever == 1, "with timeout -1 the call waits until there is an event");
    Ok(())
}
