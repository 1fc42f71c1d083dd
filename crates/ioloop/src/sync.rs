//! The lock, the atomics and the threads of `shared`, `run_loop/tasks` and `futures/block_on`, from std.
//!
//! The tests compile these three a second time, beside a `sync` that has loom's. Loom runs a model in every order of its
//! threads' steps, and lets a load return any value that its ordering permits.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
#[allow(unused_imports, reason = "an answer to the exercise may use std's")]
pub(crate) use std::thread;

pub(crate) use waker::coalesced::Coalesced;
