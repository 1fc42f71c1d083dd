//! Ten children that exit while SIGCHLD is blocked.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use experiments::{Choice, Lab, Question, Result, ask, pidfd};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

const CHILDREN: usize = 10;

/// How often the handler ran, and how many children it waited for.
static RUNS: AtomicUsize = AtomicUsize::new(0);
static REAPED: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "How many exited children does one SIGCHLD stand for?",
    setup: "Ten children exit while SIGCHLD is blocked. Then it is unblocked. Its handler calls waitpid once \
            each time it runs. How many of the ten are zombies afterwards?",
    choices: &[
        Choice::new("None: the handler runs ten times, once for each.")
            .because("The handler ran once: a standard signal is pending only once."),
        Choice::new("None: it runs once, and one waitpid reaps all that have exited.")
            .because("One waitpid reaps one child: a loop of waitpid found nine more."),
        Choice::new("Nine: it runs once, and reaps one of them."),
        Choice::new("Ten: a signal that comes while it is blocked is lost.")
            .because("The blocked signal was pending, and the handler ran when it was unblocked."),
    ],
    book: 2,
    shows: "SIGCHLD says that children have exited, never how many. So call waitpid with WNOHANG until it \
            finds none. Or hold a pidfd of each child: it is ready when that child has exited, and poll \
            counts them.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let signals = SigSet::from(Signal::SIGCHLD);
        let action = SigAction::new(SigHandler::Handler(wait_once), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler calls waitpid and touches atomics, and replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGCHLD, &action) }?;
        signals.thread_block()?;
        let children = ten_exited_children()?;
        lab.note(format!("block SIGCHLD; fork {CHILDREN} children, which exit"));
        signals.thread_unblock()?;
        let [runs, reaped] = [&RUNS, &REAPED].map(|count| count.load(Ordering::SeqCst));
        lab.note(format!("unblock it; runs of the handler: {runs}, waited for: {reaped}"));
        let mut left = 0;
        while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Err(Errno::ECHILD)) {
            left += 1;
        }
        lab.note(format!("waitpid with WNOHANG until there is none: {left} more"));
        lab.check(reaped + left == children.len(), "a loop of waitpid reaps all that the handler left");
        by_pidfd(lab)?;
        match (runs, left) {
            (CHILDREN, 0) => Ok(0),
            (1, 0) => Ok(1),
            (1, 9) => Ok(2),
            (0, CHILDREN) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

// ANCHOR: core
/// Reaps one child, as many handlers do.
extern "C" fn wait_once(_: c_int) {
    let errno = Errno::last();
    RUNS.fetch_add(1, Ordering::SeqCst);
    if matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::Exited(..))) {
        REAPED.fetch_add(1, Ordering::SeqCst);
    }
    // The code that was interrupted may be about to look at errno.
    errno.set();
}
// ANCHOR_END: core

/// Ten children that have exited and were not reaped: the first with status 0, the next with 1, and so on.
fn ten_exited_children() -> Result<Vec<Pid>> {
    let children: Vec<Pid> = (0..CHILDREN).map(child_that_ends).collect::<nix::Result<_>>()?;
    for child in &children {
        waitid(Id::Pid(*child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    }
    Ok(children)
}

fn child_that_ends(status: usize) -> nix::Result<Pid> {
    // SAFETY: this process has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
        ForkResult::Child => unsafe { libc::_exit(status as c_int) },
    }
}

/// The same without a signal: a descriptor for each child.
fn by_pidfd(lab: &Lab) -> Result {
    let signals = SigSet::from(Signal::SIGCHLD);
    signals.thread_block()?;
    let children = ten_exited_children()?;
    let pidfds: Vec<OwnedFd> = children.into_iter().map(pidfd).collect::<Result<_>>()?;
    lab.note(format!("{CHILDREN} children again, with a pidfd each"));
    let mut watched: Vec<_> =
        pidfds.iter().map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)).collect();
    let ready = poll(&mut watched, 0_u8)?;
    lab.note(format!("poll: {ready} are ready"));
    let mut statuses = Vec::new();
    for pidfd in &pidfds {
        if let WaitStatus::Exited(_, status) = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED)? {
            statuses.push(usize::try_from(status)?);
        }
    }
    lab.note(format!("waitid with each; statuses: {statuses:?}"));
    lab.check(ready == CHILDREN as i32, "ten children that have exited are ten pidfds that are ready");
    lab.check(statuses.into_iter().eq(0..CHILDREN), "and each gives the status of its child");
    Ok(())
}
