//! How a program ended, and how that is said to the reader.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::proc::Doing;

/// How a program ended.
#[derive(Debug)]
pub enum Ending {
    /// By itself, or by a signal.
    Ended(ExitStatus),
    /// It printed nothing for so long, while its threads did this.
    Idle(Duration, Vec<Doing>),
    /// It had this many processes.
    ProcessLimit(usize),
    /// It printed this many bytes.
    OutputLimit(usize),
    /// It kept printing, and still ran after so long.
    TimeLimit(Duration),
    /// What it printed was enough.
    Enough,
}

impl Ending {
    /// Was it brought about by one of the program's tests, although others may have been running or have had no turn?
    pub fn is_of_one(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::ProcessLimit(_) | Self::OutputLimit(_))
    }

    /// Did it end by itself, with status 0?
    pub fn good(&self) -> bool {
        matches!(self, Self::Ended(status) if status.success())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => match status.signal().and_then(|s| Signal::try_from(s).ok()) {
                Some(signal) => write!(f, "killed by {signal}"),
                None => write!(f, "{status}"),
            },
            Self::Idle(time, doing) => {
                write!(
                    f,
                    "nothing happened for {} s, so it was stopped. What its threads did:",
                    time.as_secs()
                )?;
                doing.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
            Self::ProcessLimit(number) => {
                write!(f, "it had {number} processes, so it was stopped: does it fork without end?")
            }
            Self::OutputLimit(bytes) => {
                let size = bytes >> 20;
                write!(f, "it printed {size} MiB, so it was stopped: does it print without end?")
            }
            Self::Enough => f.write_str("it had printed enough, so it was stopped"),
            Self::TimeLimit(time) => {
                write!(f, "it still ran after {} s, so it was stopped: does it end?", time.as_secs())
            }
        }
    }
}
