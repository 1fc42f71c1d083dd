//! What an iteration did, as subscribers get it.

use std::time::Duration;

// ANCHOR: iteration
/// One iteration. Times are by the loop's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Iteration {
    /// When it began.
    pub start: Duration,
    /// How many callbacks were run.
    pub callbacks: usize,
    /// How many timers were run.
    pub timers: usize,
    /// How long it was to sleep at most.
    pub timeout: Duration,
    /// When it fell asleep.
    pub sleep_start: Duration,
    /// When it woke.
    pub sleep_end: Duration,
    /// How many descriptors were ready.
    pub events: usize,
}
// ANCHOR_END: iteration
