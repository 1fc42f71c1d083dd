//! Fault injection: each system call of an operation fails, one at a time, with each errno that its man page documents.
//!
//! An [`Operation`] is something that the crates do: make a loop, accept clients, supervise children. First it runs
//! under the tracer of the crate `testing`, which lists its system calls. Then it runs once for each [`Fault`]: the n-th
//! call of a name, in one of its processes, does not happen and returns an errno. What the operation must do then is in
//! [`verdict`]: return an error that names the errno, or take a documented way out, one of [`FALLBACKS`]; and in any
//! case leave no descriptor and no child, keep the signal mask, not panic, not hang, and lose nothing.
//!
//! `just faults` tries every fault and prints a table; the tests in `tests/whole.rs` try a part of them, on every call.

pub mod documented;
pub mod fallbacks;
pub mod fault;
pub mod inject;
pub mod operations;
pub mod scene;
pub mod trial;
pub mod verdict;

pub use fallbacks::FALLBACKS;
pub use fault::{Fault, Place};
pub use operations::Operation;
pub use trial::Tally;
