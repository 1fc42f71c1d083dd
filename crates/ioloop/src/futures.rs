//! Futures on a loop: descriptors, times, tasks and threads to wait for, and a function that waits for a future.
//!
//! All of it is built on what any program has of a loop: callbacks, timers, handlers and tasks.

pub(crate) mod async_fd;
pub(crate) mod join;
pub(crate) mod no_result;
pub(crate) mod offload;
#[cfg_attr(feature = "mine-run_sync", path = "../exercises/run_sync.rs")]
mod run_sync;
pub(crate) mod sleep;
mod streams;
