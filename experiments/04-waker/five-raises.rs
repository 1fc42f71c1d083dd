//! Signals that come more than once before anybody takes them.

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
    question: "A signal is blocked, and is raised five times. Then a signalfd is read until it is empty. How \
               many records are there? And how many if it is a real-time signal?",
    choices: &[
        Choice::new("None, and none: what is raised while it is blocked is thrown away."),
        Choice::new("One, and five."),
        Choice::new("One, and one: the kernel has one bit for each signal."),
        Choice::new("Five, and five: blocked means put off."),
    ],
    book: 1,
    shows: "A standard signal is a flag: it is pending or it is not. Real-time signals, from SIGRTMIN on, \
            queue up. So SIGCHLD says that children have ended, never how many: ask until there is none.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let standard = records(lab, "SIGUSR1", Signal::SIGUSR1 as c_int)?;
        let real_time = records(lab, "SIGRTMIN", libc::SIGRTMIN())?;
        let runs = handled(lab)?;
        lab.check(runs == standard, "for a handler it is the same as for a signalfd");
        match (standard, real_time) {
            (0, 0) => Ok(0),
            (1, RAISES) => Ok(1),
            (1, 1) => Ok(2),
            (RAISES, RAISES) => Ok(3),
            other => Err(format!("so many records: {other:?}").into()),
        }
    })
}

/// Block a signal, raise it, and read what a signalfd has of it.
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

/// Raise a signal a few times. nix has no name for those in real time.
fn raise(number: c_int) -> Result {
    for _ in 0..RAISES {
        // SAFETY: the signal is blocked, so no handler and no default action runs in this call.
        match Errno::result(unsafe { libc::raise(number) }) {
            Err(Errno::EAGAIN) => return Err(cannot_ask("this user has as many signals queued as may be")),
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
