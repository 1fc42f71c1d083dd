//! Exercise `prefork/status`: decode a child's wait status, and wait for the child.
//!
//! Goal: `from_raw` decodes every wait status of waitpid(2): each exit code; each signal, including those without a
//! name; the core flag; a stop; a continue. `wait` and `try_wait` reap one child of this process once it has exited or
//! was killed: a signal does not end the wait, a stop is not the end, and no other child is reaped. 0 and negative
//! numbers, which stand for several children, are `ECHILD`. Run `cargo workbook check status` after each
//! change; `hint status` if you are stuck.

use std::fmt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Result;

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
        todo!("decode {raw:#06x}: write `from_raw` in exercises/status.rs")
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

/// Wait until this child has exited or was killed, and reap it.
pub fn wait(pid: Pid) -> Result<Status> {
    todo!("wait for process {pid}: write `wait` in exercises/status.rs")
}

/// Reap this child if it has exited or was killed. `None` if it is still running.
pub fn try_wait(pid: Pid) -> Result<Option<Status>> {
    todo!("reap process {pid} if it has exited: write `try_wait` in exercises/status.rs")
}
