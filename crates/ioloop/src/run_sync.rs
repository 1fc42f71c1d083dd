//! From the end of a future back to a function that returns.
//!
//! Contract: it comes back with what the future came to, or with the reason why that did not happen. A future that
//! was given up is dropped; what it has started on the loop by other means, timers and callbacks, stays there.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::{Error, IoLoop};

/// Why there is no result.
#[derive(Debug)]
pub enum NoResult {
    /// It took longer than it was given.
    Timeout(Duration),
    /// Somebody has stopped the loop.
    Stopped,
    /// The future panicked. What it was thrown with was reported, as any panic on the loop.
    Panicked,
    /// The loop could not run.
    Loop(Error),
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(time) => write!(f, "the operation took longer than {time:?}"),
            Self::Stopped => f.write_str("the loop was stopped before the operation came to its end"),
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

impl IoLoop {
    /// Run the loop until this future has come to its end, for so long at most.
    ///
    /// # Errors
    /// [`NoResult`]; `EBUSY` in it if the loop runs already.
    // ANCHOR: run_sync
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let result: Rc<Cell<Option<T>>> = Rc::default();
        let over = Rc::new(Cell::new(false));
        let end = End { over: Rc::clone(&over), ioloop: self.clone() };
        let into = Rc::clone(&result);
        let task = self.spawn(async move {
            // Dropped with this block, whether it comes to its end or not.
            let _end = end;
            into.set(Some(future.await));
        });
        let late = Rc::new(Cell::new(false));
        let timer = timeout.map(|timeout| {
            let late = Rc::clone(&late);
            self.call_later(timeout, move |ioloop| {
                late.set(true);
                ioloop.stop();
            })
        });
        let ran = self.start();
        let panicked = over.get();
        if let Some(timer) = timer {
            self.remove_timeout(timer);
        }
        self.cancel(task);
        ran?;
        match (result.take(), timeout) {
            (Some(result), _) => Ok(result),
            (None, Some(timeout)) if late.get() => Err(NoResult::Timeout(timeout)),
            (None, _) if panicked => Err(NoResult::Panicked),
            (None, _) => Err(NoResult::Stopped),
        }
    }
    // ANCHOR_END: run_sync
}

/// Stops the loop when the operation is over, one way or another.
struct End {
    over: Rc<Cell<bool>>,
    ioloop: IoLoop,
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.over.replace(true) && self.ioloop.is_started() {
            self.ioloop.stop();
        }
    }
}
