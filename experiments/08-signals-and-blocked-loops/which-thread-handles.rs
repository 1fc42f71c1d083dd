//! Signals that a loop's thread causes in a process that has a main thread, too: which thread handles them?

use std::hint::spin_loop;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

use experiments::{Choice, Lab, Lane, Question, Result, ask, sleeps};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, kill, raise, sigaction,
};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{getpid, gettid};

const SOON: Duration = Duration::from_millis(10);
/// How long to wait for a signal that should have come by then.
const LIMIT: Duration = Duration::from_secs(20);

/// The thread that ran the handler; 0 for none yet.
static RAN_IN: AtomicI32 = AtomicI32::new(0);

const QUESTION: Question = Question {
    question: "In which thread does a signal's handler run?",
    setup: "The main thread sleeps, another thread runs a loop, and neither blocks a signal. The loop's thread causes four \
            signals: a kill of its own process; a timer of setitimer; a timer of timer_create whose SIGEV_THREAD_ID names \
            the loop's thread; and the SIGCHLD of a child that it started. In which thread does the handler of each \
            run?",
    choices: &[
        Choice::new("In the loop's thread, for each of them: it caused them.")
            .because("kill and setitimer signal the process, and the main thread handled both."),
        Choice::new("In the main thread, for each of them: signals are sent to the process.")
            .because("SIGEV_THREAD_ID signals one thread, and the loop's thread handled it."),
        Choice::new("In the main thread for kill and setitimer; in the loop's thread for the other two."),
        Choice::new("In the main thread, except for the timer that names the loop's thread.")
            .because("SIGCHLD was handled by the thread that had started the child."),
    ],
    book: 2,
    shows: "On this kernel, a signal for the process usually goes to the main thread unless that thread blocks it, and \
            a SIGCHLD goes to the thread that started the child. No manual promises that. Only a signal that is sent \
            to a thread is certain to reach that thread. So code that must interrupt a loop names the loop's thread.",
    lane: "main",
    roles: &[("child", until_end_of_input)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        for signal in [Signal::SIGUSR1, Signal::SIGALRM, Signal::SIGCHLD] {
            let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: the handler asks for the thread's number and touches an atomic; it replaces none that Rust
            // relies on.
            unsafe { sigaction(signal, &action) }?;
        }
        let lane = lab.thread("loop", "a thread");
        let child = lab.program("child", &[])?;
        let by_loop = in_a_thread(|| four(&lane, child))?;
        lab.ended(&lane, "ends");
        main_blocks_it(lab)?;
        match by_loop {
            [true, true, true, true] => Ok(0),
            [false, false, false, false] => Ok(1),
            [false, false, true, true] => Ok(2),
            [false, false, true, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

// ANCHOR: handler
extern "C" fn handler(_: c_int) {
    // gettid(2) is a system call that cannot fail.
    RAN_IN.store(gettid().as_raw(), Ordering::Release);
}
// ANCHOR_END: handler

/// Run `body` in another thread, while this one sleeps until it is done.
fn in_a_thread<T: Send>(body: impl FnOnce() -> nix::Result<T> + Send) -> Result<T> {
    let tid = gettid();
    let body = || -> io::Result<T> {
        // pthread_create has every signal blocked, in the thread that calls it, until it is done.
        while !sleeps(tid)? {
            thread::yield_now();
        }
        Ok(body()?)
    };
    let outcome = thread::scope(|scope| scope.spawn(body).join());
    Ok(outcome.map_err(|_| "the thread panicked")??)
}

/// In the loop's thread, which computes while it waits. Gives whether it handled each of the four itself.
fn four(lane: &Lane, mut child: Command) -> nix::Result<[bool; 4]> {
    let told = |what: &str, here: bool| {
        lane.note(format!("{what}: in {}", if here { "this thread" } else { "the main thread" }));
        here
    };
    let itself = told("raise, which signals its own thread", handled_here(|| raise(Signal::SIGUSR1))?);
    lane.check(itself, "a signal for a thread is handled by that thread");
    // ANCHOR: core
    let killed = told("kill of the process", handled_here(|| kill(getpid(), Signal::SIGUSR1))?);
    let itimer = told("setitimer", handled_here(setitimer)?);
    let how =
        SigevNotify::SigevThreadId { signal: Signal::SIGALRM, thread_id: gettid().as_raw(), si_value: 0 };
    let named = told("timer_create, SIGEV_THREAD_ID", with_a_timer(how)?);
    let chld = told("SIGCHLD of a child that it started", handled_here(|| started(&mut child))?);
    // ANCHOR_END: core
    Ok([killed, itimer, named, chld])
}

/// Let `send` send a signal, and wait for its handler. Gives whether that ran in this thread.
fn handled_here<T>(send: impl FnOnce() -> nix::Result<T>) -> nix::Result<bool> {
    RAN_IN.store(0, Ordering::Release);
    let _kept = send()?;
    let began = Instant::now();
    loop {
        match RAN_IN.load(Ordering::Acquire) {
            0 if began.elapsed() > LIMIT => return Err(Errno::ETIMEDOUT),
            0 => spin_loop(),
            tid => return Ok(tid == gettid().as_raw()),
        }
    }
}

fn setitimer() -> nix::Result<()> {
    let soon = libc::timeval { tv_sec: 0, tv_usec: 10_000 };
    let once = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: soon };
    // SAFETY: nix has no such call. It reads the new value, which outlives it; the null pointer says not to write the old one.
    Errno::result(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const once, ptr::null_mut()) }).map(drop)
}

fn with_a_timer(how: SigevNotify) -> nix::Result<bool> {
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(how))?;
    handled_here(|| timer.set(Expiration::OneShot(SOON.into()), TimerSetTimeFlags::empty()))
}

/// Start a child that exits when its standard input ends, and wait for it. It must not exit sooner: while it is being
/// started, the thread that starts it may have all signals blocked.
fn started(child: &mut Command) -> nix::Result<()> {
    let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    // `wait` closes the pipe before it waits.
    let status = child.stdin(Stdio::piped()).spawn().and_then(|mut child| child.wait()).map_err(errno)?;
    if status.success() { Ok(()) } else { Err(Errno::ECHILD) }
}

/// The child.
fn until_end_of_input(_: &mut Lab) -> Result<i32> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(0)
}

/// The same kill while the main thread blocks the signal.
fn main_blocks_it(lab: &mut Lab) -> Result {
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    lab.note("blocks SIGUSR1");
    let lane = lab.thread("second", "a second loop's thread");
    let here = in_a_thread(|| {
        // A thread starts with the signal mask of the thread that starts it.
        signal.thread_unblock()?;
        let here = handled_here(|| kill(getpid(), Signal::SIGUSR1))?;
        lane.note(format!(
            "kill of the process: in {}",
            if here { "this thread" } else { "the main thread" }
        ));
        Ok(here)
    })?;
    lab.ended(&lane, "ends");
    signal.thread_unblock()?;
    lab.check(here, "a signal for the process goes to a thread that does not block it");
    Ok(())
}
