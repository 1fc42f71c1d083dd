//! Exercise `ioloop/watchdog`: code that blocks, caught with its stack while it still does.
//!
//! Goal: what runs between `arm` and `disarm` for longer than the threshold is reported, once for each `arm`, in a
//! thread that is not the one that blocks; with the stack of the one that does. What was interrupted goes on as if
//! nothing had been. A process has one watch. When it is dropped, what was caught by then is reported, then nothing
//! more is, and SIGALRM does what it did before. What it opens is close-on-exec.
//! `crate::stack::Stack` is there already, for a static: `prepare` before the first signal; `note` may be called in a
//! signal's handler; `names` finds the names, and may not: somebody else calls it, when `note` has come back.
//! Run `cargo run -p workbook check ioloop/watchdog` after each change; `hint ioloop/watchdog` if you are stuck.

use std::time::Duration;

use crate::Result;

/// What has blocked.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// For longer than this.
    pub threshold: Duration,
    /// The functions that were being called, the innermost first, by name.
    pub stack: Vec<String>,
}

/// Watches the thread that made it. What must it keep?
#[derive(Debug)]
pub struct Watchdog {
    /// Here only so that this compiles.
    _threshold: Duration,
}

impl Watchdog {
    /// Report what runs between [`Watchdog::arm`] and [`Watchdog::disarm`] for longer than `threshold`. What reports must not
    /// wait for this thread, which waits for it when the watch is dropped.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched; `EAGAIN` where there is no timer or no thread for it. Then all
    /// is as it was.
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        let _ = (threshold, report);
        todo!("handle SIGALRM, make a timer, and have a thread report: write `new` in exercises/watchdog.rs")
    }

    /// From now on the time counts.
    pub fn arm(&self) {
        todo!("have the timer go off, once: write `arm` in exercises/watchdog.rs")
    }

    /// From now on it does not.
    pub fn disarm(&self) {
        todo!("have the timer not go off: write `disarm` in exercises/watchdog.rs")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        todo!("give back what `new` took, and end the thread: write `drop` in exercises/watchdog.rs")
    }
}
