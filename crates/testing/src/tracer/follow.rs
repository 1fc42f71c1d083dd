//! Following a process, and all that it forks, from one system call to the next.
//!
//! Contract: the followed processes die with their tracer, and a process that is killed at the wrong moment causes
//! no error here. A machine that refuses ptrace is told from code under test that ends where it should go on.

use std::ops::ControlFlow::{self, Break, Continue};
use std::process::exit;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::call::Call;
use super::registers;
use crate::helper::REFUSED;

/// What `watch` returns if the scenario ends, or stops for a signal, where it should go on. ptrace(2) fails with the same
/// errno for a process that is gone.
pub const ENDED: Errno = Errno::ESRCH;

/// Start a scenario, stopped before its beginning, and `watch` it until it has ended. Gives its exit code, 1 if `watch`
/// returned [`ENDED`], or [`REFUSED`] if it cannot be traced.
pub fn start(scenario: impl FnOnce() -> i32, watch: impl FnOnce(Pid) -> nix::Result<i32>) -> i32 {
    // SAFETY: a helper has one thread, so the child may do whatever the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
            Ok(()) => exit(scenario()),
            Err(error) => exit(refused(error)),
        },
        Ok(ForkResult::Parent { child }) => attached(child, watch).unwrap_or_else(refused),
        Err(error) => refused(error),
    }
}

fn refused(error: Errno) -> i32 {
    eprintln!("ptrace: {error}");
    REFUSED
}

fn attached(scenario: Pid, watch: impl FnOnce(Pid) -> nix::Result<i32>) -> nix::Result<i32> {
    if let WaitStatus::Exited(_, code) = waitpid(scenario, None)? {
        return Ok(code);
    }
    let follow = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
    let report = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC;
    ptrace::setoptions(scenario, follow | report | Options::PTRACE_O_EXITKILL)?;
    // Where that is not permitted, the same takes longer.
    let _ = on_one_processor(scenario);
    match watch(scenario) {
        // A panic or a fault of the code under test, which is no refusal: that would skip the test that should catch it.
        Err(ENDED) => {
            eprintln!("the scenario ended, or got a signal, in the middle of what is judged");
            Ok(1)
        }
        watched => watched,
    }
}

/// The result of changing a process that may have been killed meanwhile: that is reported next, and no error.
///
/// # Errors
/// Any other one.
pub fn unless_killed(changed: nix::Result<()>) -> nix::Result<()> {
    if changed == Err(Errno::ESRCH) { Ok(()) } else { changed }
}

/// Put both processes, and what they fork, on one processor. Only one of them runs at a time, and a switch between two
/// processors takes three times as long.
fn on_one_processor(scenario: Pid) -> nix::Result<()> {
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    [Pid::this(), scenario].into_iter().try_for_each(|pid| sched_setaffinity(pid, &here))
}

/// A process that has stopped before a system call, or after it.
#[derive(Debug)]
pub struct Stop {
    /// Which process.
    pub pid: Pid,
    /// Its call.
    pub call: Call,
    /// The call's answer; `None` before the call.
    pub answer: Option<i64>,
}

/// Resume a stopped process, with a signal if there is one for it, until a process stops at a call; or until the
/// scenario has ended, with this exit code. `None` resumes nothing, because another process is still running.
///
/// # Errors
/// What ptrace or waitpid says.
pub fn to_call(
    scenario: Pid,
    stopped: impl Into<Option<Pid>>,
    mut signal: Option<Signal>,
) -> nix::Result<ControlFlow<i32, Stop>> {
    let mut stopped = stopped.into();
    loop {
        match stopped.map_or(Ok(()), |pid| ptrace::syscall(pid, signal)) {
            Ok(()) | Err(Errno::ESRCH) => {} // killed meanwhile: that is reported next
            Err(error) => return Err(error),
        }
        (stopped, signal) = loop {
            match waitpid(None, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceSyscall(pid) => match registers::call(pid) {
                    Ok((call, answer)) => return Ok(Continue(Stop { pid, call, answer })),
                    Err(Errno::ESRCH) => {}
                    Err(error) => return Err(error),
                },
                // A new process stops once, because it is traced.
                WaitStatus::PtraceEvent(pid, ..) | WaitStatus::Stopped(pid, Signal::SIGSTOP) => {
                    break (Some(pid), None);
                }
                WaitStatus::Stopped(pid, signal) => break (Some(pid), Some(signal)),
                WaitStatus::Exited(pid, code) if pid == scenario => return Ok(Break(code)),
                WaitStatus::Signaled(pid, signal, _) if pid == scenario => {
                    eprintln!("the scenario was killed by {signal}");
                    return Ok(Break(1));
                }
                _ => {}
            }
        };
    }
}

/// Kill the scenario, because enough was seen.
///
/// # Errors
/// What kill or waitpid says.
pub fn end(scenario: Pid) -> nix::Result<i32> {
    kill(scenario, Signal::SIGKILL)?;
    while !matches!(waitpid(scenario, None)?, WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {}
    Ok(0)
}
