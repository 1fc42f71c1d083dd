//! Exercise `ioloop/run_sync`: run the loop until a future is done.
//!
//! Goal: `run_sync` runs the loop until a future is done, and returns its result, or the reason why there is none: its time
//! was over, something else stopped or closed the loop, or it panicked, which the loop reports as well. If two of result,
//! timeout and panic come in one iteration, the first one counts; a stop or a close counts only if none of them came. A timeout
//! is neither rounded nor limited, and one of zero is a timeout. In each case, and even if a panic unwinds, `run_sync` leaves
//! no timer, no task, no stop and no wake behind. If a value of the future panics when `run_sync` drops the future, that is
//! reported as a failure of a task, also if the future has panicked before, or if the loop runs already. While a panic unwinds,
//! neither such a value nor one of the result may abort the process. A drop may call `run_sync` while a panic unwinds that has
//! nothing to do with the loop: this changes nothing. In a loop that runs already it is an error, and that loop runs on as if
//! nothing had happened.
//!
//! Given: `spawn` and `cancel`, `call_later` (for any duration), which returns a `crate::timers::TimerId`, and
//! `remove_timeout`, `start` and `stop`. The loop reports a panic of a task, and goes on. `crate::failure::guarded` calls a
//! closure and catches a panic, `drop_caught` drops a value and catches one, and `self.report` reports a `Failure`. Run `cargo
//! workbook check ioloop/run_sync` after each change; `hint ioloop/run_sync` if you are stuck.

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
