//! What a supervisor reports: an event for each change, and at the end its result or its error.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Error;
use crate::status::Status;

/// Something that has just happened to a child, or to all of them.
// ANCHOR: event
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The supervisor forked the first child for this task.
    Started {
        /// The task's number, from 0.
        task: usize,
        /// The child's process id.
        pid: Pid,
    },
    /// A child exited or was killed, and the supervisor has reaped it.
    Exited {
        /// The task that the child had.
        task: usize,
        /// The process id that the child had. The kernel may give it to another process from now on.
        pid: Pid,
        /// Its exit code, or the signal that killed it.
        status: Status,
    },
    /// The supervisor forked a replacement for a child that had failed.
    Restarted {
        /// The task, which is the same as the failed child's.
        task: usize,
        /// The replacement's process id.
        pid: Pid,
        /// How long the supervisor waited before it forked the replacement.
        pause: Duration,
    },
    /// The supervisor stops: it sends this signal to all children, and restarts none of them from now on.
    Stopping {
        /// The signal that the supervisor received and forwards; SIGTERM if it stops because of an error.
        signal: Signal,
    },
    /// The grace period ended, and the supervisor sent SIGKILL to this child.
    Killed {
        /// The task that the child has.
        task: usize,
        /// The process id of the child, which is reaped later.
        pid: Pid,
    },
    /// A child failed after the last permitted restart was used. [`Event::Stopping`] follows.
    GaveUp {
        /// How many restarts there were.
        restarts: usize,
    },
}
// ANCHOR_END: event

/// How `supervise` ended when it succeeded.
// ANCHOR: ended
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every task is done: its last child exited with 0.
    Done,
    /// The supervisor received this signal, and all children have exited or were killed since.
    Stopped(Signal),
}

/// Why `supervise` failed. No child is left when it returns this, except one that may not be killed (`EPERM`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// A system call failed.
    Call(Error),
    /// A child failed after this many restarts, which are all that the policy permits.
    TooManyRestarts(usize),
}
// ANCHOR_END: ended

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::TooManyRestarts(restarts) => {
                write!(f, "a child failed again after {restarts} restarts, which is the limit")
            }
        }
    }
}

impl std::error::Error for Failed {}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}
