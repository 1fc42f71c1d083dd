//! The lock and the atomics of [`shared`](crate::shared), from std.
//!
//! The tests compile `shared` a second time, beside a `sync` that has loom's. Loom runs a model in every order of its
//! threads' steps, and lets a load return any value that its ordering permits.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use waker::coalesced::Coalesced;
