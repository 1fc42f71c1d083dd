//! Exercise `ioloop/run_sync`: waiting for a future.
//!
//! Goal: `run_sync` runs the loop until a future is done, and returns its result or the reason why there is none. It leaves no
//! timer, no task and no stop behind, however it ends.
//!
//! What there is: `spawn` and `cancel`, `call_later` and `remove_timeout`, `start` and `stop`. The loop reports a panic of a
//! task, and goes on.
//! Run `cargo run -p workbook check ioloop/run_sync` after each change; `hint ioloop/run_sync` if you are stuck.

use std::future::Future;
use std::time::Duration;

use crate::{IoLoop, NoResult};

impl IoLoop {
    /// Run the loop until this future is done, for `timeout` at most.
    ///
    /// # Errors
    /// [`NoResult`]; `EBUSY` in it if the loop runs already.
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let _ = (future, timeout);
        todo!("run the loop until the future is done, or its time is over: write `run_sync` in exercises/run_sync.rs")
    }
}
