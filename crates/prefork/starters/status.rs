//! Exercise `prefork/status`: what became of a child.
//!
//! Goal: the number that waitpid(2) gives is taken apart, whatever it is: every exit code, every signal, also
//! those without a name, a core file, a stop, a continuation. `wait` and `try_wait` are for the end of one child
//! of ours: a signal does not end the wait, a stop is not an end, and no other child is taken. What is not one
//! child, 0 and below, is `ECHILD`.
//! Run `cargo run -p workbook check status` after each change; `hint status` if you are stuck.

use std::fmt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Result;

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself, with this code, 0 to 255: of the number that it gave to exit(3), the lowest byte.
    Exited(i32),
    /// A signal ended it.
    Killed {
        /// The signal's number: real-time signals have no other name.
        signal: i32,
        /// Was its memory written to a file, or handed to a program? See core(5).
        core: bool,
    },
    /// It was stopped by the signal of that number, and is there.
    Stopped(i32),
    /// It was stopped, and goes on.
    Continued,
}

impl Status {
    /// Take apart the number that waitpid(2) gives.
    pub fn from_raw(raw: i32) -> Self {
        todo!("say what {raw:#06x} means: write `from_raw` in exercises/status.rs")
    }

    /// Did it end by itself, with code 0?
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// Is there nothing more to come from it?
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Killed { .. })
    }
}

/// `exited with 3`, `killed by SIGSEGV, core dumped`.
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

/// Wait until this child has ended, and reap it.
pub fn wait(pid: Pid) -> Result<Status> {
    todo!("wait for process {pid}: write `wait` in exercises/status.rs")
}

/// The same, without waiting: nothing if it has not ended yet.
pub fn try_wait(pid: Pid) -> Result<Option<Status>> {
    todo!("see whether process {pid} has ended: write `try_wait` in exercises/status.rs")
}
