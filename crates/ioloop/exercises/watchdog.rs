//! Exercise `ioloop/watchdog`: report code that blocks the loop, with its stack, while it still blocks.
//!
//! Goal: if more than the threshold passes between `arm` and `disarm`, another thread reports the stack of the thread that
//! blocks, once for each `arm`. The interrupted code goes on as if nothing had happened: the handler of SIGALRM allocates
//! nothing, takes no lock, preserves `errno`, and is installed with `SA_RESTART`. The signal is for the watched thread,
//! which must not block it from `new` to `drop`, and the timer counts wall time. A SIGALRM that is not of this timer (see
//! sigaction(2), SI_TIMER and `si_value`) is no report: it runs the handler that was there before, if there was one. While
//! a report is being made, the handler can note one more stack, and never waits.
//! A process has at most one watchdog, until its drop has returned. Dropping it disarms the timer, then restores the old
//! action of SIGALRM (handler, mask and flags), and blocks it again if the thread blocked it before; then it reports the
//! stack that was noted last, if any, and returns when the thread has ended and the descriptors are closed. Even if an
//! alarm is pending because the thread has blocked SIGALRM since, the old handler does not get it. The next watchdog does
//! not report a stack of this one, even if `report` has panicked, and even if what it threw panics when it is dropped.
//! Descriptors are close-on-exec.
//! Given: `crate::call_stack::Stack`, for a static, which `Stack::new` makes. Call `prepare` first: without it, `note`
//! notes nothing. `note` may be called in a signal handler; it returns false if the last stack has not been read. `names`
//! must not be called there: another thread calls it after `note` has returned. It returns the names and makes room for the
//! next stack.
//! An error names the call: `Error::on("timer_create", "CLOCK_MONOTONIC")(errno)`, with `crate::Error`; for an
//! `std::io::Error`, `Error::on_io`.
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
    /// and [`Watchdog::disarm`]. The timer is not armed yet. `report` must not wait for this thread, because dropping the
    /// watchdog waits for `report`.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched already; `EAGAIN` if the kernel has no timer or no thread left.
    /// After an error nothing has changed.
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        let _ = (threshold, report);
        todo!("handle SIGALRM, make a timer, and start a thread: write `new` in exercises/watchdog.rs")
    }

    /// Start the timer: see timer_settime(2). A threshold of zero fires at once, and the longest one does not panic.
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
            "disarm, restore SIGALRM, end the thread, close what `new` opened: write `drop` in exercises/watchdog.rs"
        )
    }
}
