//! What a supervisor is told, and what it tells: its policy, events, and how it ended.

use std::fmt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Error;
use crate::status::Status;

/// How many children, and how patiently.
// ANCHOR: options
#[derive(Debug, Clone)]
pub struct Policy {
    /// How many children; 0 is one for each core that this process may use.
    pub children: usize,
    /// How many restarts there may be, of all children together.
    pub max_restarts: usize,
    /// How long the children may take to end once they were told to.
    pub grace: Duration,
    /// A child that fails before it is as old as this has failed at once.
    pub young: Duration,
    /// How long the first restart of such a one waits. Each time it fails at once again, it is twice as long.
    pub pause: Duration,
    /// And no longer than this.
    pub longest_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            children: 0,
            max_restarts: 100,
            grace: Duration::from_secs(10),
            young: Duration::from_secs(1),
            pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
        }
    }
}
// ANCHOR_END: options

/// When so much time has passed from now on. For what is too long to be added to the clock, in a hundred years.
pub(crate) fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86400))
}

/// What happens meanwhile.
// ANCHOR: event
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first child of this task was born.
    Started {
        /// 0 for the first, and so on.
        task: usize,
        /// Of the child.
        pid: Pid,
    },
    /// A child has ended, and was reaped.
    Exited {
        /// What it was there for.
        task: usize,
        /// Of the child that there was.
        pid: Pid,
        /// What became of it.
        status: Status,
    },
    /// Another child took over the task, after a pause.
    Restarted {
        /// The same as its predecessor's.
        task: usize,
        /// Of the new child.
        pid: Pid,
        /// How long it was waited for.
        pause: Duration,
    },
    /// The children are told to end, with this signal. None is restarted from now on.
    Stopping {
        /// The one that came; SIGTERM before an error.
        signal: Signal,
    },
    /// The grace period is over, and this one is killed.
    Killed {
        /// What it was there for.
        task: usize,
        /// Of the child, which has yet to end.
        pid: Pid,
    },
    /// One more child has failed than may be restarted. `Stopping` follows.
    GaveUp {
        /// How many there were.
        restarts: usize,
    },
}
// ANCHOR_END: event

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every child has ended well.
    Done,
    /// This signal came, and all children have ended since, one way or another.
    Stopped(Signal),
}

/// Why it ended before its time. There are no children left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// A system call.
    Call(Error),
    /// The children fail, and were restarted as often as may be.
    TooManyRestarts(usize),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::TooManyRestarts(restarts) => {
                write!(f, "too many children failed: {restarts} restarts are the most")
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
