//! The kinds of pollers, and the choice of one for the process.

use std::fmt;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::fake::Fake;
use super::{Poller, epoll, poll, select};
use crate::{Clock, Result};

static CONFIGURED: AtomicU8 = AtomicU8::new(0);

/// Make a poller for a loop with this clock, whose waker is the descriptor `own`: a fake clock gets a poller that advances it.
///
/// # Errors
/// The errors of [`Kind::make`].
pub(crate) fn make(kind: Kind, clock: &Clock, own: RawFd) -> Result<Box<dyn Poller>> {
    let poller = kind.make()?;
    Ok(match clock {
        Clock::Monotonic(_) => poller,
        Clock::Fake(clock) => Box::new(Fake::new(poller, clock.clone(), own)),
    })
}

/// A kind of poller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// epoll(7): a wait costs time for each ready descriptor.
    #[default]
    Epoll,
    /// poll(2): a wait costs time for each watched descriptor.
    Poll,
    /// select(2): as poll, and only for descriptors below 1024.
    Select,
}

impl Kind {
    /// All kinds, the best first, and in the order of the variants: `configured` indexes it by them.
    pub const ALL: [Self; 3] = [Self::Epoll, Self::Poll, Self::Select];

    // ANCHOR: configure
    /// Set the poller of every new loop in this process, unless its [`Config`](crate::Config) names another.
    pub(crate) fn configure(self) {
        CONFIGURED.store(self as u8, Ordering::Relaxed);
    }

    /// The kind that was configured last, or epoll.
    pub(crate) fn configured() -> Self {
        Self::ALL[usize::from(CONFIGURED.load(Ordering::Relaxed))]
    }
    // ANCHOR_END: configure

    /// Does this poller support [`Events::EDGE`](crate::Events::EDGE)?
    pub(crate) fn reports_edges(self) -> bool {
        self == Self::Epoll
    }

    /// Make a poller of this kind.
    ///
    /// # Errors
    /// For epoll, `EMFILE`, `ENFILE`, `ENOMEM` of epoll_create1(2). poll and select need no descriptor.
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
