//! Ten children that exit: counted by a signal, and by a descriptor each.

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
    question: "How many of ten pidfds are ready if one of the ten exited children was reaped?",
    setup: "Ten children have exited, and their parent holds a pidfd of each. Other code in the parent calls \
            waitpid for any child, once, and so reaps one. How many of the ten pidfds does poll report, and what \
            does waitid return for each?",
    choices: &[
        Choice::new("Nine: the reaped child's pidfd is not ready any more. waitid returns nine statuses.")
            .because("poll reported the reaped child's pidfd too: a pidfd is ready from the exit on."),
        Choice::new("Ten. waitid returns ten statuses: a pidfd keeps the status of its child.")
            .because("The zombie had the status, and waitpid took it: waitid found no child, ECHILD."),
        Choice::new("Ten. waitid returns nine statuses, and ECHILD for the child that was reaped."),
        Choice::new("One: exits merge, as with SIGCHLD. waitid returns one status.")
            .because("Each child has a pidfd of its own, and pidfds do not merge."),
    ],
    book: 2,
    shows: "A pidfd is ready from its child's exit on, even after the child was reaped. The status goes to the first \
            call that reaps the child. SIGCHLD says only that children have exited, and not how many. So call waitpid \
            with WNOHANG until it finds no child that has exited.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        by_signal(lab)?;
        by_pidfd(lab)
    })
}

/// Ten exits while SIGCHLD is blocked, and a handler that reaps one child.
fn by_signal(lab: &Lab) -> Result {
    let signals = SigSet::from(Signal::SIGCHLD);
    let action = SigAction::new(SigHandler::Handler(wait_once), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler calls waitpid and touches atomics, and replaces none that Rust relies on.
    unsafe { sigaction(Signal::SIGCHLD, &action) }?;
    signals.thread_block()?;
    let children = ten_exited_children()?;
    lab.note(format!("block SIGCHLD; fork {CHILDREN} children, which exit"));
    signals.thread_unblock()?;
    let [runs, reaped] = [&RUNS, &REAPED].map(|count| count.load(Ordering::SeqCst));
    lab.note(format!("unblock it; the handler runs: {runs} time; it reaps: {reaped}"));
    let mut left = 0;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => break,
            waited => left += waited.map(|_| 1)?,
        }
    }
    lab.note(format!("waitpid with WNOHANG until there is none: {left} more"));
    lab.check(runs == 1 && reaped == 1, "one SIGCHLD for ten exits: the handler runs once, and reaps one");
    lab.check(reaped + left == children.len(), "a loop of waitpid reaps all children that the handler left");
    signals.thread_block()?;
    Ok(())
}

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
fn by_pidfd(lab: &Lab) -> Result<usize> {
    let children = ten_exited_children()?;
    // ANCHOR: core
    let pidfds: Vec<OwnedFd> = children.into_iter().map(pidfd).collect::<Result<_>>()?;
    lab.note(format!("{CHILDREN} children again, with a pidfd each"));
    waitpid(None, None)?;
    lab.note("waitpid for any child: reaps one");
    let mut watched: Vec<_> =
        pidfds.iter().map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)).collect();
    let ready = poll(&mut watched, 0_u8)?;
    lab.note(format!("poll: {ready} are ready"));
    let waited: Vec<_> =
        pidfds.iter().map(|pidfd| waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED)).collect();
    // ANCHOR_END: core
    let statuses = waited.iter().filter(|status| matches!(status, Ok(WaitStatus::Exited(..)))).count();
    let missing = waited.iter().filter(|status| **status == Err(Errno::ECHILD)).count();
    lab.note(format!("waitid with each: {statuses} statuses, {missing} ECHILD"));
    let right = waited.iter().enumerate().all(|(number, waited)| match waited {
        Ok(WaitStatus::Exited(_, status)) => usize::try_from(*status) == Ok(number),
        _ => true,
    });
    lab.check(right, "each status is that of the pidfd's own child");
    match (ready, statuses, missing) {
        (9, 9, _) => Ok(0),
        (10, 10, 0) => Ok(1),
        (10, 9, 1) => Ok(2),
        (1, 1, _) => Ok(3),
        other => Err(format!("none of the choices: {other:?}").into()),
    }
}
