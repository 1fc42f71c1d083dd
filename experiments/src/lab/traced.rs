//! A child whose system calls are seen one by one, as a debugger sees them, or counted.

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

mod number;

use self::number::known;
use super::Lab;
use crate::verdict::{Result, cannot_ask};

/// The exit status of a child that was not permitted to be traced.
const REFUSED: i32 = 77;

/// A system call that returned.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its number: `libc::SYS_poll`. Each architecture has its own. On 32-bit x86, a call that exists in two widths has
    /// the number of the narrow one.
    pub number: c_long,
    /// Its arguments, and behind them whatever was in the registers.
    pub args: [u64; 6],
    /// What it returned; below zero, an errno.
    pub answer: i64,
}

impl Lab {
    /// Fork, as [`Lab::fork`] does, and write down every system call of `body`: with its arguments and its answer, in
    /// their order. Gives the child's exit status too.
    ///
    /// This cannot be asked where ptrace(2) is refused: in some containers, and under strace.
    pub fn traced(
        &mut self,
        lane: &str,
        body: impl FnOnce(&mut Lab) -> Result<i32>,
    ) -> Result<(i32, Vec<Call>)> {
        let child = self.fork(lane, |lab| match offer_to_be_traced() {
            Ok(()) => body(lab),
            Err(_) => Ok(REFUSED),
        })?;
        if !has_stopped(child.pid())? {
            return match child.status(self)? {
                REFUSED => Err(cannot_ask("ptrace(2) is refused here, so no system call can be counted")),
                status => Err(format!("{lane} exited with {status} before it could be traced").into()),
            };
        }
        let mut calls = Vec::new();
        follow(child.pid(), |call| calls.push(call))?;
        Ok((child.status(self)?, calls))
    }

    /// Fork, and count how often the child's first thread makes this call while it runs `body`: `SYS_timer_settime`,
    /// for example. Calls of `before` are not counted. Gives `None` where a process cannot be traced, or is traced
    /// already, under strace for example. See ptrace(2).
    ///
    /// Only for a process with one thread, as [`Lab::fork`].
    pub fn count<T>(
        &mut self,
        number: c_long,
        before: impl FnOnce() -> Result<T>,
        body: impl FnOnce(T) -> Result,
    ) -> Result<Option<usize>> {
        let child = self.fork_quietly(|_| {
            let prepared = before()?;
            if offer_to_be_traced().is_err() {
                return Ok(REFUSED);
            }
            body(prepared)?;
            raise(Signal::SIGSTOP)?;
            Ok(0)
        })?;
        if !has_stopped(child.pid())? {
            return Ok(None);
        }
        let mut count = 0;
        match follow(child.pid(), |call| count += usize::from(call.number == number))? {
            // The child has nothing left to do, and is killed when it is dropped.
            Left::Stopped => Ok(Some(count)),
            Left::Exiting => Err("a process that is traced exited before it was done".into()),
        }
    }
}

/// In the child: let the parent trace it, and stop until the parent does.
fn offer_to_be_traced() -> nix::Result<()> {
    ptrace::traceme()?;
    raise(Signal::SIGSTOP)
}

/// Wait until the child has stopped, or has exited before that, in which case it is still to be reaped.
fn has_stopped(pid: Pid) -> Result<bool> {
    let news = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    if let WaitStatus::Exited(..) | WaitStatus::Signaled(..) = waitid(Id::Pid(pid), news)? {
        return Ok(false);
    }
    waitpid(pid, None)?;
    Ok(true)
}

/// Where [`follow`] left a child, which is not traced any more and goes on by itself.
enum Left {
    /// Behind a SIGSTOP that it sent itself.
    Stopped,
    /// In its exit.
    Exiting,
}

/// Resume a stopped child from call to call, and hand each call that returned to `on_call`, until the child stops itself
/// or exits.
fn follow(pid: Pid, mut on_call: impl FnMut(Call)) -> Result<Left> {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options)?;
    let (mut entered, mut signal) = (None, None);
    loop {
        ptrace::syscall(pid, signal.take())?;
        match waitpid(pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => match stop(pid)? {
                At::Entry(number, args) => entered = Some((number, args)),
                At::Exit(answer) => {
                    if let Some((number, args)) = entered.take() {
                        on_call(Call { number, args, answer });
                    }
                }
            },
            WaitStatus::PtraceEvent(..) => {
                ptrace::detach(pid, None)?;
                return Ok(Left::Exiting);
            }
            // Detached, or its death by SIGKILL would be reported twice: PTRACE_O_TRACEEXIT stops it once more.
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                ptrace::detach(pid, None)?;
                return Ok(Left::Stopped);
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            other => return Err(format!("a traced child: {other:?}").into()),
        }
    }
}

/// Where in a system call a child has stopped.
enum At {
    Entry(c_long, [u64; 6]),
    Exit(i64),
}

fn stop(pid: Pid) -> Result<At> {
    let info = ptrace::syscall_info(pid).map_err(|error| match error {
        // Since Linux 5.3.
        Errno::EIO | Errno::EINVAL => {
            cannot_ask("this kernel does not report which system call a process is in")
        }
        other => other.into(),
    })?;
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: `op` says that the kernel wrote this one of the three.
            let entry = unsafe { info.u.entry };
            Ok(At::Entry(known(entry.nr as c_long), entry.args))
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => {
            // SAFETY: as above.
            Ok(At::Exit(unsafe { info.u.exit }.sval))
        }
        other => Err(format!("a traced child is in no system call: {other}").into()),
    }
}
