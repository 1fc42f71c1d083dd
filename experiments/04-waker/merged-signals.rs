//! Signals that are raised more than once before they are delivered.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

const RAISES: usize = 5;

/// How often the handler ran.
static RUNS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "How many times is a blocked signal pending that was raised five times?",
    setup: "A standard signal is blocked and raised five times, then a signalfd for it is read until it is \
            empty. How many records does it hold? And how many if it is a real-time signal?",
    choices: &[
        Choice::new("None, and none: a signal that is raised while it is blocked is discarded.")
            .because("A blocked signal stays pending, and the signalfd had a record of it."),
        Choice::new("One, and five."),
        Choice::new("One, and one: the kernel has one bit for each signal.")
            .because("Real-time signals are queued: the signalfd had five records of SIGRTMIN."),
        Choice::new("Five, and five: a blocked signal is only delayed.")
            .because("A standard signal is pending or not: the five left one record of SIGUSR1."),
    ],
    book: 1,
    shows: "A standard signal is a flag: it is pending or it is not. Real-time signals, from SIGRTMIN on, \
            are queued. So SIGCHLD says that children have exited, never how many: call waitpid until it \
            finds none.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let standard = records(lab, "SIGUSR1", Signal::SIGUSR1 as c_int)?;
        let real_time = records(lab, "SIGRTMIN", libc::SIGRTMIN())?;
        let runs = handled(lab)?;
        lab.check(runs == standard, "a handler runs as many times as the signalfd has records");
        match (standard, real_time) {
            (0, 0) => Ok(0),
            (1, RAISES) => Ok(1),
            (1, 1) => Ok(2),
            (RAISES, RAISES) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Block a signal, raise it, and count the records in its signalfd.
fn records(lab: &Lab, name: &str, number: c_int) -> Result<usize> {
    let signal = set(number)?;
    signal.thread_block()?;
    let signals = SignalFd::with_flags(&signal, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    raise(number)?;
    lab.note(format!("{name}: blocked, and raised {RAISES} times"));
    let mut records = 0;
    while let Some(record) = signals.read_signal()? {
        if record.ssi_signo.cast_signed() != number {
            return Err(format!("a record of signal {}", record.ssi_signo).into());
        }
        records += 1;
    }
    lab.note(format!("read the signalfd until it is empty; records: {records}"));
    signal.thread_unblock()?;
    Ok(records)
}

/// The same with a handler, which runs when the signal is unblocked.
fn handled(lab: &Lab) -> Result<usize> {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    raise(Signal::SIGUSR1 as c_int)?;
    let before = RUNS.load(Ordering::Relaxed);
    lab.note(format!("SIGUSR1: blocked, and raised {RAISES} times; runs of its handler: {before}"));
    lab.check(before == 0, "while a signal is blocked, its handler does not run");
    signal.thread_unblock()?;
    let after = RUNS.load(Ordering::Relaxed);
    lab.note(format!("unblock it; runs of its handler: {after}"));
    Ok(after)
}

extern "C" fn count(_: c_int) {
    RUNS.fetch_add(1, Ordering::Relaxed);
}

/// Raise a signal a few times. nix has no names for real-time signals.
fn raise(number: c_int) -> Result {
    for _ in 0..RAISES {
        // SAFETY: the signal is blocked, so no handler and no default action runs in this call.
        match Errno::result(unsafe { libc::raise(number) }) {
            Err(Errno::EAGAIN) => {
                return Err(cannot_ask("this user has as many signals queued as the limit allows"));
            }
            other => other?,
        };
    }
    Ok(())
}

fn set(number: c_int) -> Result<SigSet> {
    let mut signals = *SigSet::empty().as_ref();
    // SAFETY: the set is this function's own, and was made empty above.
    Errno::result(unsafe { libc::sigaddset(&raw mut signals, number) })?;
    // SAFETY: it was initialised by nix, and one member was added since.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(signals) })
}
