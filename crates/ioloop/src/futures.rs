//! Futures on a loop: they wait for a descriptor, a time, a task or a thread; and `run_sync`, which runs the loop for one.
//! `block_on` runs one without a loop.
//!
//! They use the public functions of a loop: callbacks, timers, handlers and tasks. Those that must not keep the loop
//! alive hold a `WeakLoop`.

#[allow(unused_imports, reason = "an answer to the exercise may use std's")]
use crate::sync;

pub(crate) mod async_fd;
#[cfg_attr(feature = "mine-block_on", path = "../exercises/block_on.rs")]
pub(crate) mod block_on;
pub(crate) mod join;
pub(crate) mod no_result;
pub(crate) mod offload;
#[cfg_attr(feature = "mine-run_sync", path = "../exercises/run_sync.rs")]
mod run_sync;
pub(crate) mod sleep;
mod streams;
