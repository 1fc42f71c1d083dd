//! What an iteration did, for whoever wants to see.

use std::time::Duration;

/// One iteration. Times are by the loop's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iteration {
    /// When it began.
    pub began: Duration,
    /// How many callbacks were run.
    pub callbacks: usize,
    /// How many timers were run.
    pub timers: usize,
    /// How long it was to sleep at most.
    pub asked: Duration,
    /// When it fell asleep.
    pub asleep: Duration,
    /// When it woke.
    pub awake: Duration,
    /// How many descriptors were ready.
    pub events: usize,
}
