//! The records that subscribers and tracers get: one for each iteration, one for each dispatch.

use std::time::Duration;

use crate::event::Token;
use crate::failure::Origin;

// ANCHOR: iteration
/// The record of an iteration. Times are by the loop's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Iteration {
    /// When the iteration began.
    pub start: Duration,
    /// How many callbacks ran.
    pub callbacks: usize,
    /// How many timers ran.
    pub timers: usize,
    /// The timeout of the sleep.
    pub timeout: Duration,
    /// When the sleep began.
    pub sleep_start: Duration,
    /// When the sleep ended.
    pub sleep_end: Duration,
    /// How many descriptors were ready.
    pub events: usize,
}
// ANCHOR_END: iteration

/// The record of a dispatch: one run of a callback, a timer or a handler, or one poll of a task. Times are by the loop's
/// clock.
// ANCHOR: dispatch
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dispatch {
    /// The kind of code that ran.
    pub origin: Origin,
    /// The token of a handler; `None` for other code.
    pub token: Option<Token>,
    /// The type of the code, as std's `type_name` names it: for a closure, with the function in which it is written.
    pub label: &'static str,
    /// When the run began.
    pub start: Duration,
    /// When the run ended.
    pub end: Duration,
}
// ANCHOR_END: dispatch
