//! A fault: which call fails, and with which errno; and its form as words, in which the helper and the test exchange it.

use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;

use crate::documented::{errnos, lasting};

/// One system call of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which process or thread makes the call, in the order in which they first make one: 0 is the operation's own.
    pub task: usize,
    /// The name of the call: `epoll_ctl`.
    pub call: String,
    /// Which call of this name in this process or thread, from 1.
    pub nth: usize,
}

/// A call that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which call.
    pub place: Place,
    /// What it answers.
    pub errno: Errno,
    /// Do all later calls of this name fail too, in every process?
    pub lasting: bool,
}

impl Fault {
    /// The faults of a place: each documented errno once, and those that are no matter of a moment also from then on.
    pub fn of(place: &Place) -> Vec<Self> {
        let fault = |errno, lasting| Self { place: place.clone(), errno, lasting };
        let once = errnos(&place.call).into_iter().map(|errno| fault(errno, false));
        once.chain(lasting(&place.call).into_iter().map(|errno| fault(errno, true))).collect()
    }
}

/// The words that `Display` writes.
impl FromStr for Place {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let read = || {
            let [task, call, nth] = words.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some(Self { task: task.parse().ok()?, call: call.into(), nth: nth.parse().ok()? })
        };
        read().ok_or_else(|| format!("no place: {words}"))
    }
}

/// The words that `Display` writes.
impl FromStr for Fault {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let read = || {
            let (rest, how) = words.rsplit_once(' ')?;
            let (place, name) = rest.rsplit_once(' ')?;
            let place: Place = place.parse().ok()?;
            let errno = errnos(&place.call).into_iter().find(|errno| format!("{errno:?}") == name)?;
            Some(Self { place, errno, lasting: how == "lasting" })
        };
        read().ok_or_else(|| format!("no fault: {words}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.task, self.call, self.nth)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.place, self.errno, if self.lasting { "lasting" } else { "once" })
    }
}
