//! Why [`run_sync`](crate::IoLoop::run_sync) has no result.

use std::fmt;
use std::time::Duration;

use crate::Error;

/// Why there is no result.
#[derive(Debug)]
pub enum NoResult {
    /// It took longer than it was given.
    Timeout(Duration),
    /// The loop was stopped, or closed.
    Stopped,
    /// The future panicked. The panic was reported, as any panic on the loop.
    Panicked,
    /// The loop could not run.
    Loop(Error),
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(time) => write!(f, "the operation took longer than {time:?}"),
            Self::Stopped => f.write_str("the loop was stopped before the operation was done"),
            Self::Panicked => f.write_str("the operation panicked"),
            Self::Loop(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NoResult {}

impl From<Error> for NoResult {
    fn from(error: Error) -> Self {
        Self::Loop(error)
    }
}
