//! Exercise `ioloop/watchdog`: report code that blocks the loop, with its stack, while it still blocks.
//!
//! Goal: if more than the threshold passes between `arm` and `disarm`, another thread reports the stack of the thread that
//! blocks, once for each `arm`. The interrupted code goes on as if nothing had happened. A process has at most one watchdog.
//! Dropping it reports the stack that was noted last, ends the reports, and restores the disposition of SIGALRM. Its
//! descriptors are close-on-exec.
//! Given: `crate::call_stack::Stack`, for a static. Call `prepare` before the first signal. `note` may be called in a
//! signal handler. `names` must not: another thread calls it after `note` has returned.
//! Run `cargo workbook check ioloop/watchdog` after each change; `hint ioloop/watchdog` if you are stuck.

use std::time::Duration;

use crate::Result;

/// A report of code that blocked the loop.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The threshold that the code exceeded.
    pub threshold: Duration,
    /// The names of the functions on the stack, the innermost first.
    pub stack: Vec<String>,
}

/// Watches the thread that made it. What must it keep?
#[derive(Debug)]
pub struct Watchdog {
    /// Here only so that this compiles.
    _threshold: Duration,
}

impl Watchdog {
    /// Watch this thread: call `report`, in a thread of its own, when more than `threshold` passes between [`Watchdog::arm`]
    /// and [`Watchdog::disarm`]. `report` must not wait for this thread, because dropping the watchdog waits for `report`.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched already; `EAGAIN` if the kernel has no timer or no thread left.
    /// After an error nothing has changed.
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        let _ = (threshold, report);
        todo!("handle SIGALRM, make a timer, and start a thread: write `new` in exercises/watchdog.rs")
    }

    /// Start the timer: see timer_settime(2).
    pub fn arm(&self) {
        todo!("start the timer, for one expiration: write `arm` in exercises/watchdog.rs")
    }

    /// Stop the timer.
    pub fn disarm(&self) {
        todo!("stop the timer: write `disarm` in exercises/watchdog.rs")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        todo!(
            "restore SIGALRM, close what `new` opened, and end the thread: write `drop` in exercises/watchdog.rs"
        )
    }
}
