//! The atomics of the modules `coalesced` and `signal`, from std.
//!
//! The tests compile each of them a second time, with a `sync` module of loom's atomics. Loom runs a model in every
//! order of its threads' steps, and lets a load return any value that its ordering permits.

#[allow(unused_imports, reason = "an answer to the exercise may have its atomics from elsewhere")]
pub(crate) use std::sync::atomic;
#[allow(unused_imports, reason = "an answer to the exercise may have its threads from elsewhere")]
pub(crate) use std::thread;
