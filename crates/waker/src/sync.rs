//! The atomics of the module `coalesced`, from std.
//!
//! The tests compile that module a second time, with a `sync` module of loom's atomics. Loom runs a model in every
//! order of its threads' steps, and lets a load return any value that its ordering permits.

#[allow(unused_imports, reason = "an answer to the exercise may have its atomics from elsewhere")]
pub(crate) use std::sync::atomic;
