//! Signals that are sent more than once before they are delivered.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use experiments::{Choice, Failure, Lab, Question, Result, ask, cannot_ask};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::getpid;

const SENT: usize = 5;

/// How often the handler ran.
static RUNS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "If a blocked signal is sent several times, how many times is it pending?",
    setup: "SIGUSR1 is blocked. A thread sends it to itself five times, with raise. How many times is it pending? \
            How many if SIGUSR1 is also sent to the process five times, with kill? And how many times is SIGRTMIN \
            pending, a real-time signal, after raise has sent it five times?",
    choices: &[
        Choice::new("Never, in all three cases: a signal that is sent while it is blocked is discarded.")
            .because("A blocked signal stays pending: the signalfd had a record of it."),
        Choice::new("Once; twice, once for the thread and once for the process; five times."),
        Choice::new("Once, in all three cases: the kernel has one bit for each signal.")
            .because("The thread and the process have a bit each, and real-time signals are queued."),
        Choice::new("Five times; ten times; five times: a blocked signal is only delayed.")
            .because("A standard signal is pending or not: the thread's five signals left one record."),
    ],
    book: 1,
    shows: "For a standard signal, the thread's pending set has one bit, and so has the process's. While the bit is \
            set, sending the signal again changes nothing. Real-time signals, from SIGRTMIN on, are queued. So SIGCHLD \
            does not say how many children have exited: call waitpid for each child.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let to_thread = records(lab, "SIGUSR1", Signal::SIGUSR1 as c_int, &[raise])?;
        let to_both = records(lab, "SIGUSR1", Signal::SIGUSR1 as c_int, &[raise, kill])?;
        let real_time = records(lab, "SIGRTMIN", libc::SIGRTMIN(), &[raise])?;
        handled(lab, to_thread)?;
        past_the_limit(lab)?;
        match (to_thread, to_both, real_time) {
            (0, 0, 0) => Ok(0),
            (1, 2, SENT) => Ok(1),
            (1, 1, 1) => Ok(2),
            (5, 10, 5) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A way to send a signal: to this thread, or to this process.
type Send = fn(c_int) -> nix::Result<c_int>;

fn raise(number: c_int) -> nix::Result<c_int> {
    // SAFETY: it has no preconditions; each signal here is blocked or handled.
    Errno::result(unsafe { libc::raise(number) })
}

fn kill(number: c_int) -> nix::Result<c_int> {
    // SAFETY: it has no preconditions; each signal here is blocked or handled.
    Errno::result(unsafe { libc::kill(getpid().as_raw(), number) })
}

/// Block a signal, send it in these ways, and count the records in its signalfd.
fn records(lab: &Lab, name: &str, number: c_int, ways: &[Send]) -> Result<usize> {
    let signal = set(number)?;
    signal.thread_block()?;
    let signals = SignalFd::with_flags(&signal, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    // ANCHOR: core
    for send in ways {
        for _ in 0..SENT {
            send(number).map_err(refused)?;
        }
    }
    let mut records = 0;
    while signals.read_signal()?.is_some() {
        records += 1;
    }
    // ANCHOR_END: core
    let how = ["raise", "raise and kill"][ways.len() - 1];
    lab.note(format!("{name} blocked; {how}, {SENT} times; records in its signalfd: {records}"));
    signal.thread_unblock()?;
    Ok(records)
}

/// The kernel refuses to queue a real-time signal past `RLIMIT_SIGPENDING`.
fn refused(error: Errno) -> Failure {
    match error {
        Errno::EAGAIN => cannot_ask("this user has as many signals queued as the limit allows"),
        other => other.into(),
    }
}

/// Real-time signals when no more may be queued: raise is refused, and kill is merged.
fn past_the_limit(lab: &Lab) -> Result {
    let (soft, hard) = getrlimit(Resource::RLIMIT_SIGPENDING)?;
    let number = libc::SIGRTMIN();
    let signal = set(number)?;
    signal.thread_block()?;
    let signals = SignalFd::with_flags(&signal, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    setrlimit(Resource::RLIMIT_SIGPENDING, 0, hard)?;
    let raised = raise(number);
    let killed = (0..SENT).map(|_| kill(number)).collect::<nix::Result<Vec<_>>>();
    setrlimit(Resource::RLIMIT_SIGPENDING, soft, hard)?;
    let mut records = 0;
    while signals.read_signal()?.is_some() {
        records += 1;
    }
    signal.thread_unblock()?;
    let outcome = raised.map_or_else(|error| format!("{error:?}"), |_| "accepted".into());
    lab.note(format!("SIGRTMIN blocked, limit for queued signals 0; raise: {outcome}"));
    let outcome = killed.as_ref().map_or_else(|error| format!("{error:?}"), |_| "accepted".into());
    lab.note(format!("kill, {SENT} times: {outcome}; records in its signalfd: {records}"));
    let merged = raised == Err(Errno::EAGAIN) && killed.is_ok() && records == 1;
    lab.check(merged, "beyond the limit for queued signals, raise fails, and all kills leave one record");
    Ok(())
}

/// The same with a handler, which runs when the signal is unblocked.
fn handled(lab: &Lab, records: usize) -> Result {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    (0..SENT).try_for_each(|_| raise(Signal::SIGUSR1 as c_int).map(drop))?;
    let before = RUNS.load(Ordering::Relaxed);
    signal.thread_unblock()?;
    let after = RUNS.load(Ordering::Relaxed);
    lab.note(format!("SIGUSR1 with a handler; raise, {SENT} times; runs of the handler: {before}"));
    lab.note(format!("unblock it; runs of the handler: {after}"));
    lab.check(before == 0, "while a signal is blocked, its handler does not run");
    lab.check(after == records, "the handler runs as many times as the signalfd had records");
    Ok(())
}

extern "C" fn count(_: c_int) {
    RUNS.fetch_add(1, Ordering::Relaxed);
}

/// nix has no names for real-time signals.
fn set(number: c_int) -> Result<SigSet> {
    let mut signals = *SigSet::empty().as_ref();
    // SAFETY: the set is this function's own, and was made empty above.
    Errno::result(unsafe { libc::sigaddset(&raw mut signals, number) })?;
    // SAFETY: it was initialised by nix, and one member was added since.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(signals) })
}
