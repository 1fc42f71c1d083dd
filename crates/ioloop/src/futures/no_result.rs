//! The errors of [`run_sync`](crate::IoLoop::run_sync).

use std::fmt;
use std::time::Duration;

use crate::Error;

/// Why [`run_sync`](crate::IoLoop::run_sync) returned without a result.
#[derive(Debug)]
pub enum NoResult {
    /// The future took longer than this timeout.
    Timeout(Duration),
    /// The loop was stopped or closed before the future was done.
    Stopped,
    /// The future panicked. The loop has reported the panic.
    Panicked,
    /// [`IoLoop::start`](crate::IoLoop::start) failed.
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
