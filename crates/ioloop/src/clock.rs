//! The clock of a loop: CLOCK_MONOTONIC, or a fake clock that a test moves.
//!
//! Contract: time never goes back. It is a duration since an arbitrary moment, so only differences are meaningful.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The clock of a loop's timers.
#[derive(Debug, Clone)]
pub enum Clock {
    /// CLOCK_MONOTONIC, counted from this instant. Setting the system's time does not move it: see clock_gettime(2).
    Monotonic(Instant),
    /// A clock that a test moves.
    Fake(FakeClock),
}

impl Clock {
    /// The kernel's monotonic clock, counted from now.
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

/// A clock that a test moves. Clones refer to the same clock. A loop with this clock never sleeps: if no descriptor is
/// ready, it advances the clock by the time that it would have slept.
#[derive(Debug, Clone, Default)]
pub struct FakeClock(Rc<Cell<Duration>>);

impl FakeClock {
    /// Move the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.set(self.0.get() + by);
    }
}
