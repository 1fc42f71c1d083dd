//! The clock of a loop: CLOCK_MONOTONIC, or a fake clock that a test moves.
//!
//! Contract: time never goes back, and stops at `Duration::MAX`. It is a duration since an arbitrary moment, so only
//! differences are meaningful. A fake clock advances by itself only while its loop waits for nothing but timers.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
            Self::Fake(clock) => clock.now.get(),
        }
    }

    /// The same clock for one loop, which counts on its own what it waits for.
    pub(crate) fn for_a_loop(self) -> Self {
        match self {
            Self::Monotonic(_) => self,
            Self::Fake(clock) => Self::Fake(FakeClock { awaited: Arc::default(), ..clock }),
        }
    }

    /// Until the result is dropped, the loop waits for something that is not a timer, and a fake clock stands still.
    pub(crate) fn awaits(&self) -> Option<Awaited> {
        match self {
            Self::Monotonic(_) => None,
            Self::Fake(clock) => Some(clock.awaits()),
        }
    }
}

/// A clock that a test moves. Clones refer to the same clock.
///
/// If a loop with this clock waits for nothing but timers, it does not sleep: it advances the clock by the time that it
/// would have slept. While it also waits for a descriptor, a signal or offloaded work, the clock stands still, because it
/// cannot know how long those take. Then the loop sleeps until one of them arrives, and no timer is due unless the test
/// calls [`FakeClock::advance`].
///
/// A loop waits for a descriptor if its handler is registered for some event, is not paused, and is not a oneshot that has
/// fired; and for one of [`IoLoop::watch`](crate::IoLoop::watch) while a task waits for it. It does not know of a thread that
/// only has a [`LoopHandle`](crate::LoopHandle): the clock does not wait for that thread.
#[derive(Debug, Clone, Default)]
pub struct FakeClock {
    now: Rc<Cell<Duration>>,
    /// How many things that are not timers the loop of this clock waits for.
    awaited: Arc<AtomicUsize>,
}

impl FakeClock {
    /// Move the clock forward, to `Duration::MAX` at most. After 584 years, every timer is due.
    pub fn advance(&self, by: Duration) {
        self.now.set(self.now.get().saturating_add(by));
    }

    /// Does the loop wait for anything that is not a timer?
    pub(crate) fn must_stand_still(&self) -> bool {
        // Another thread wakes the loop, and then takes one off: if it is off here, the wait sees the wake.
        self.awaited.load(Ordering::Acquire) > 0
    }

    pub(crate) fn awaits(&self) -> Awaited {
        Awaited::new(&self.awaited)
    }
}

/// Something that a loop waits for, and that is not a timer.
#[derive(Debug)]
pub(crate) struct Awaited(Arc<AtomicUsize>);

impl Awaited {
    fn new(awaited: &Arc<AtomicUsize>) -> Self {
        awaited.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(awaited))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}
