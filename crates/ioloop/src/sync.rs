//! Where [`shared`](crate::shared) has its lock and its atomics: from std.
//!
//! The tests compile that module a second time, beside a `sync` that is loom's. Loom runs a model through every order of
//! its threads' steps, and lets a load answer with any value that its ordering permits.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use waker::coalesced::Coalesced;
