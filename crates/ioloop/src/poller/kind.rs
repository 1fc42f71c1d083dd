//! Which poller a loop sleeps in, and making one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::fake::Fake;
use super::{Poller, epoll, poll, select};
use crate::{Clock, Result};

static CONFIGURED: AtomicU8 = AtomicU8::new(0);

/// A poller of that kind, for a loop that has its time from this clock.
pub(crate) fn make(kind: Kind, clock: &Clock) -> Result<Box<dyn Poller>> {
    let poller = kind.make()?;
    Ok(match clock {
        Clock::Monotonic(_) => poller,
        Clock::Fake(clock) => Box::new(Fake::new(poller, clock.clone())),
    })
}

/// Which poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// epoll(7): what is ready costs, and not what is watched.
    #[default]
    Epoll,
    /// poll(2): every descriptor is looked at, at every wait.
    Poll,
    /// select(2): the same, and only descriptors below 1024.
    Select,
}

impl Kind {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Epoll, Self::Poll, Self::Select];

    // ANCHOR: configure
    /// Let every loop sleep in this from now on, unless its own [`Config`](crate::Config) says otherwise.
    pub(crate) fn configure(self) {
        CONFIGURED.store(self as u8, Ordering::Relaxed);
    }

    /// What was configured last.
    pub(crate) fn configured() -> Self {
        Self::ALL[usize::from(CONFIGURED.load(Ordering::Relaxed))]
    }
    // ANCHOR_END: configure

    /// Can something be watched for a change, and not for a state?
    pub(crate) fn reports_edges(self) -> bool {
        self == Self::Epoll
    }

    /// Make one.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` of epoll_create1(2).
    // ANCHOR: make
    pub fn make(self) -> Result<Box<dyn Poller>> {
        Ok(match self {
            Self::Epoll => Box::new(epoll::Epoll::new()?),
            Self::Poll => Box::new(poll::Poll::new()),
            Self::Select => Box::new(select::Select::new()),
        })
    }
    // ANCHOR_END: make
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoll => "epoll",
            Self::Poll => "poll",
            Self::Select => "select",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| format!("no poller is called {name}: there are epoll, poll and select"))
    }
}
