//! Another way for `prefork/status`: the bits of a status are taken apart by hand.

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
        let (low, high) = (raw & 0x7f, raw >> 8 & 0xff);
        match (low, high) {
            (0, code) => Self::Exited(code),
            (0x7f, _) if raw & 0xffff == 0xffff => Self::Continued,
            (0x7f, signal) => Self::Stopped(signal),
            (signal, _) => Self::Killed { signal, core: raw & 0x80 != 0 },
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
