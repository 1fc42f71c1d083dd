//! Where [`coalesced`](crate::coalesced) gets its atomics: from std.
//!
//! The tests compile that module a second time, beside a `sync` that is loom's. Loom runs a model through
//! every order of its threads' steps, and lets a load answer with any value that its ordering permits.

#[allow(unused_imports, reason = "an answer to the exercise may have its atomics from elsewhere")]
pub(crate) use std::sync::atomic;
