//! Another way for `prefork/status`: `waitid` looks at the child, and `waitpid` reaps it.

use std::fmt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{Error, Result};

/// What a wait status says about a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The child exited with this code, 0 to 255: the lowest byte of the number that it passed to exit(3).
    Exited(i32),
    /// A signal killed the child.
    Killed {
        /// The signal's number: real-time signals have no other name.
        signal: i32,
        /// Did the kernel dump its memory, to a file or to a program? See core(5).
        core: bool,
    },
    /// The signal of this number stopped the child, which still exists.
    Stopped(i32),
    /// The child had been stopped, and SIGCONT has resumed it.
    Continued,
}

impl Status {
    /// Decode the wait status of waitpid(2).
    pub fn from_raw(raw: i32) -> Self {
        if libc::WIFEXITED(raw) {
            Self::Exited(libc::WEXITSTATUS(raw))
        } else if libc::WIFSIGNALED(raw) {
            Self::Killed { signal: libc::WTERMSIG(raw), core: libc::WCOREDUMP(raw) }
        } else if libc::WIFSTOPPED(raw) {
            Self::Stopped(libc::WSTOPSIG(raw))
        } else {
            Self::Continued
        }
    }

    /// Did the child exit with code 0?
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// Has the child exited or been killed? After a stop or a continue, more statuses follow.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Killed { .. })
    }
}

/// Words for a message: `exited with 3`, `killed by SIGSEGV, core dumped`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::Killed { signal, core } => {
                let dumped = if *core { ", core dumped" } else { "" };
                write!(f, "killed by {}{dumped}", name(*signal))
            }
            Self::Stopped(signal) => write!(f, "stopped by {}", name(*signal)),
            Self::Continued => f.write_str("continued"),
        }
    }
}

fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

fn waitpid(pid: Pid, flags: i32) -> Result<Option<Status>> {
    let fail = Error::on("waitpid", format!("process {pid}"));
    if pid.as_raw() <= 0 {
        return Err(fail(Errno::ECHILD));
    }
    loop {
        // SAFETY: zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: waitid writes one siginfo_t.
        let done = unsafe {
            libc::waitid(
                libc::P_PID,
                pid.as_raw() as u32,
                &raw mut info,
                libc::WEXITED | libc::WNOWAIT | flags,
            )
        };
        match Errno::result(done) {
            // SAFETY: waitid wrote the pid.
            Ok(_) if unsafe { info.si_pid() } == 0 => return Ok(None),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(fail(errno)),
        }
        let mut raw = 0;
        // SAFETY: waitpid writes one integer, and `raw` is one.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut raw, flags) }) {
            Ok(0) => return Ok(None),
            Ok(_) => {
                let status = Status::from_raw(raw);
                if status.is_final() {
                    return Ok(Some(status));
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
}

/// Wait until this child has exited or was killed, and reap it.
pub fn wait(pid: Pid) -> Result<Status> {
    loop {
        if let Some(status) = waitpid(pid, 0)? {
            return Ok(status);
        }
    }
}

/// Reap this child if it has exited or was killed. `None` if it is still running.
pub fn try_wait(pid: Pid) -> Result<Option<Status>> {
    waitpid(pid, libc::WNOHANG)
}
