//! Exercise `ioloop/run_sync`: run the loop until a future is done.
//!
//! Goal: `run_sync` runs the loop until a future is done, and returns its result, or the reason why there is none: its time
//! was over, something else stopped or closed the loop, or it panicked, which the loop reports as well. If two of these come
//! in one iteration, the first one counts. In each case, and even if a panic unwinds, `run_sync` leaves no timer, no task and
//! no stop behind. In a loop that runs already it is an error, and that loop runs on as if nothing had happened.
//!
//! Given: `spawn` and `cancel`, `call_later` (for any duration) and `remove_timeout`, `start` and `stop`. The loop reports a
//! panic of a task, and goes on. Run `cargo workbook check ioloop/run_sync` after each change; `hint ioloop/run_sync` if you
//! are stuck.

use std::future::Future;
use std::time::Duration;

use crate::{IoLoop, NoResult};

impl IoLoop {
    /// Run the loop until `future` is done, for at most `timeout`.
    ///
    /// # Errors
    /// [`NoResult`] has the reason; for a loop that runs already, it is [`NoResult::Loop`] with `EBUSY`.
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let _ = (future, timeout);
        todo!(
            "run the loop until the future is done, or until the timeout: write `run_sync` in exercises/run_sync.rs"
        )
    }
}
