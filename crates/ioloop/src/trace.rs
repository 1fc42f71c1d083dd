//! What subscribers and tracers get: what an iteration did, and what ran in it.

use std::time::Duration;

use crate::event::Token;
use crate::failure::Origin;

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

/// One run of code that was given to the loop. Times are by the loop's clock.
// ANCHOR: dispatch
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispatch {
    /// What it is.
    pub origin: Origin,
    /// Of a handler: its token.
    pub token: Option<Token>,
    /// What the compiler calls it: for a closure, the function in which it is written.
    pub label: &'static str,
    /// When it began.
    pub start: Duration,
    /// When it had run.
    pub end: Duration,
}
// ANCHOR_END: dispatch
