//! What time it is: monotonic, or what a test says.
//!
//! Contract: time never goes back. It is a duration since some moment, and only differences mean anything.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Where a loop has its time from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// CLOCK_MONOTONIC: see clock_gettime(2). Nobody can set it, so no timer is early or dead because somebody did.
    Monotonic(Instant),
    /// What the test says.
    Fake(FakeClock),
}

impl Clock {
    /// The kernel's, from now on.
    pub fn monotonic() -> Self {
        Self::Monotonic(Instant::now())
    }

    /// The time by this clock.
    pub fn now(&self) -> Duration {
        match self {
            Self::Monotonic(start) => start.elapsed(),
            Self::Fake(clock) => clock.0.get(),
        }
    }
}

/// A clock that a test moves; clones are one clock. A loop that has it does not sleep for a timer: it moves the
/// clock to the timer's deadline instead.
#[derive(Debug, Clone, Default)]
pub struct FakeClock(Rc<Cell<Duration>>);

impl FakeClock {
    /// Let time pass.
    pub fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}
