//! Futures on a loop: they wait for a descriptor, a time, a task or a thread; and `run_sync`, which runs the loop for one.
//!
//! They use the public functions of a loop: callbacks, timers, handlers and tasks. Those that must not keep the loop
//! alive hold a `WeakLoop`, which is private to this crate.

pub(crate) mod async_fd;
pub(crate) mod join;
pub(crate) mod no_result;
pub(crate) mod offload;
#[cfg_attr(feature = "mine-run_sync", path = "../exercises/run_sync.rs")]
mod run_sync;
pub(crate) mod sleep;
mod streams;
