//! System calls, counted from outside.

use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::lab::{Lab, Result};

impl Lab {
    /// Fork, and have the child run `body`: how often does its first thread make this call, `SYS_timer_settime` for
    /// one? What `before` does is not counted. Nothing is given where a process cannot be traced, or is traced already:
    /// under strace, for one. See ptrace(2).
    ///
    /// Only for a process with one thread, as [`Lab::fork`].
    pub fn count<T>(
        &mut self,
        call: c_long,
        before: impl FnOnce() -> Result<T>,
        body: impl FnOnce(T) -> Result,
    ) -> Result<Option<usize>> {
        let child = self.fork_quietly(|_| {
            if ptrace::traceme().is_err() {
                return Ok(1);
            }
            let prepared = before()?;
            raise(Signal::SIGSTOP)?;
            body(prepared)?;
            raise(Signal::SIGSTOP)?;
            Ok(0)
        })?;
        let pid = child.pid();
        let news = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        if let WaitStatus::Exited(..) | WaitStatus::Signaled(..) = waitid(Id::Pid(pid), news)? {
            return Ok(None);
        }
        waitpid(pid, None)?;
        ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
        let (mut count, mut signal) = (0, None);
        loop {
            ptrace::syscall(pid, signal.take())?;
            match waitpid(pid, None)? {
                WaitStatus::PtraceSyscall(_) => count += usize::from(entered(pid)? == Some(call)),
                // The child is not needed any more, and is ended by being dropped.
                WaitStatus::Stopped(_, Signal::SIGSTOP) => return Ok(Some(count)),
                WaitStatus::Stopped(_, other) => signal = Some(other),
                other => return Err(format!("a process that is traced came to an end: {other:?}").into()),
            }
        }
    }
}

/// The call that this process, stopped, is about to make; nothing if it comes back from one.
fn entered(pid: Pid) -> Result<Option<c_long>> {
    let info = ptrace::syscall_info(pid)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: by `op`, this member of the union is the one that the kernel has filled in.
    let number = unsafe { info.u.entry.nr };
    Ok(Some(c_long::try_from(number)?))
}
