//! A signal that is sent while it is handled, ignored and blocked, and what a child and a new program keep of that.

use std::fs::read_to_string;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use experiments::{Choice, Lab, Question, Result, ask};
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// How often the handler ran.
static RUNS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "What happens to a signal that is sent while it is ignored, or while it is blocked?",
    setup: "A process has a handler for SIGUSR1, which counts. It sends SIGUSR1 to itself three times: with the \
            handler installed; while SIGUSR1 is ignored, after which it installs the handler again; while SIGUSR1 is \
            blocked, after which it unblocks SIGUSR1. How many times has the handler run in the end?",
    choices: &[
        Choice::new("Three times: an ignored or blocked signal is only delayed.")
            .because("The ignored signal was discarded: nothing was pending when the handler was back."),
        Choice::new("Twice: the ignored signal is discarded, and the blocked one stays pending."),
        Choice::new("Twice: the ignored signal stays pending, and the blocked one is discarded.").because(
            "The handler ran for the blocked signal, when it was unblocked, and not for the ignored one.",
        ),
        Choice::new("Once: an ignored or blocked signal is discarded.")
            .because("The blocked signal was pending, and the handler ran when it was unblocked."),
    ],
    book: 1,
    shows: "The kernel discards an ignored signal. A blocked signal is pending until the thread unblocks it, and then \
            its disposition decides: ignored, handled or default. All threads share the dispositions; each thread has \
            its own mask. exec keeps the mask and the pending signals, so a program can start with a signal blocked.",
    lane: "process",
    roles: &[("after-exec", after_exec)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let seen = three(lab)?;
        inherited(lab)?;
        match seen {
            [1, 2, 2, 3] => Ok(0),
            [1, 1, 1, 2] => Ok(1),
            [1, 2, 2, 2] => Ok(2),
            [1, 1, 1, 1] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Gives how often the handler had run: after the first signal, the second and the third, and when it was unblocked.
fn three(lab: &Lab) -> Result<[usize; 4]> {
    let handler = SigHandler::Handler(count);
    // ANCHOR: core
    install(handler)?;
    raise(Signal::SIGUSR1)?;
    let handled = said(lab, "raise it with a handler")?;
    install(SigHandler::SigIgn)?;
    raise(Signal::SIGUSR1)?;
    install(handler)?;
    let ignored = said(lab, "ignore it, raise it, install the handler")?;
    SigSet::from(Signal::SIGUSR1).thread_block()?;
    raise(Signal::SIGUSR1)?;
    let blocked = said(lab, "block it, raise it")?;
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    let unblocked = said(lab, "unblock it")?;
    // ANCHOR_END: core
    Ok([handled, ignored, blocked, unblocked])
}

/// A child of fork, and the program that it executes.
fn inherited(lab: &mut Lab) -> Result {
    SigSet::from(Signal::SIGUSR1).thread_block()?;
    raise(Signal::SIGUSR1)?;
    said(lab, "block and raise it again")?;
    let child = lab.fork("child", |lab| {
        said(lab, "the child of a fork")?;
        lab.check(
            state(Signal::SIGUSR1)? == "handled, blocked",
            "a child has its parent's handler and mask, and no pending signal",
        );
        raise(Signal::SIGUSR1)?;
        said(lab, "raise it")?;
        lab.exec("after-exec", &[], "exec: this same program from its beginning")?;
        Ok(1)
    })?;
    child.status(lab)?;
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    Ok(())
}

fn after_exec(lab: &mut Lab) -> Result<i32> {
    said(lab, "the new program")?;
    lab.check(
        state(Signal::SIGUSR1)? == "default, blocked, pending",
        "exec keeps the mask and the pending signal; the handler is gone",
    );
    Ok(0)
}

// ANCHOR: install
extern "C" fn count(_: c_int) {
    RUNS.fetch_add(1, Relaxed);
}

fn install(handler: SigHandler) -> Result {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only touches an atomic, and Rust has no handler of its own for SIGUSR1.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}
// ANCHOR_END: install

/// Note what was done, what the kernel says of the signal then, and how often the handler has run so far.
fn said(lab: &Lab, what: &str) -> Result<usize> {
    let runs = RUNS.load(Relaxed);
    lab.note(format!("{what} ({}; runs: {runs})", state(Signal::SIGUSR1)?));
    Ok(runs)
}

/// What /proc says of a signal: its disposition, and whether it is blocked and pending. See proc_pid_status(5).
fn state(signal: Signal) -> Result<String> {
    let status = read_to_string("/proc/thread-self/status")?;
    let is_in = |set: &str| -> Result<bool> {
        let mask = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t"));
        let mask = u64::from_str_radix(mask.ok_or("the status has no such set")?, 16)?;
        Ok(mask & 1 << (signal as u32 - 1) != 0)
    };
    let mut words = vec![match (is_in("SigIgn")?, is_in("SigCgt")?) {
        (true, _) => "ignored",
        (_, true) => "handled",
        _ => "default",
    }];
    words.extend(is_in("SigBlk")?.then_some("blocked"));
    words.extend((is_in("SigPnd")? || is_in("ShdPnd")?).then_some("pending"));
    Ok(words.join(", "))
}
