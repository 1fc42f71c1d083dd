//! A child whose system calls are seen one by one, as a debugger sees them.

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::lab::{Lab, Result, cannot_ask};

/// What a child exits with that was not permitted to be traced.
const REFUSED: i32 = 77;

/// A system call that came back.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its number: `libc::SYS_poll`. On each architecture another.
    pub number: i64,
    /// What it was given. Behind the arguments that it has stands whatever was in the registers.
    pub args: [u64; 6],
    /// What it answered; below zero, an errno.
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
        let child = self.fork(lane, |lab| {
            if ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)).is_err() {
                return Ok(REFUSED);
            }
            body(lab)
        })?;
        match waitpid(child.pid(), None)? {
            WaitStatus::Stopped(..) => {
                let calls = follow(child.pid())?;
                Ok((child.status(self)?, calls))
            }
            WaitStatus::Exited(_, REFUSED) => {
                child.was_reaped();
                Err(cannot_ask("ptrace(2) is refused here, so nobody can count system calls"))
            }
            other => {
                child.was_reaped();
                Err(format!("{lane} did not stop to be traced: {other:?}").into())
            }
        }
    }
}

/// From call to call, until the child is about to end. Then it is nobody's again but its parent's.
fn follow(pid: Pid) -> Result<Vec<Call>> {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options)?;
    let (mut calls, mut entered, mut signal) = (Vec::new(), None, None);
    loop {
        ptrace::syscall(pid, signal.take())?;
        match waitpid(pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(_) => match stop(pid)? {
                At::Entry(number, args) => entered = Some((number, args)),
                At::Exit(answer) => {
                    calls.extend(entered.take().map(|(number, args)| Call { number, args, answer }));
                }
            },
            WaitStatus::PtraceEvent(..) => {
                ptrace::detach(pid, None)?;
                return Ok(calls);
            }
            WaitStatus::Stopped(_, other) => signal = Some(other),
            other => return Err(format!("a traced child: {other:?}").into()),
        }
    }
}

enum At {
    Entry(i64, [u64; 6]),
    Exit(i64),
}

fn stop(pid: Pid) -> Result<At> {
    let info = ptrace::syscall_info(pid).map_err(|error| match error {
        // Since Linux 5.3.
        Errno::EIO | Errno::EINVAL => cannot_ask("this kernel does not say which call a process stands at"),
        other => other.into(),
    })?;
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: `op` says that the kernel wrote this one of the three.
            let entry = unsafe { info.u.entry };
            Ok(At::Entry(entry.nr as i64, entry.args))
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => {
            // SAFETY: as above.
            Ok(At::Exit(unsafe { info.u.exit }.sval))
        }
        other => Err(format!("a traced child stands at no call: {other}").into()),
    }
}
