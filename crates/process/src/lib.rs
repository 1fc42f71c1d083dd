//! Starting programs.
//!
//! A process starts a program in two steps: `fork` makes a child, a copy of the process, and `execve` replaces the
//! child's program. Between the two calls the child connects itself to its parent, and afterwards the parent waits for
//! its exit status. This crate does all of that, and depends on no other crate of the book.
//!
//! - [`capture`]: run a program, feed it input, and collect its output and how it ended;
//! - [`signals`]: block signals around a fork until the child has removed its parent's handlers.
//!
//! Contract: no function leaves a descriptor or a child behind, whether it succeeds or fails, and none panics on bad
//! input.
//!
//! The module `capture` is an exercise: with the feature `mine-capture`, the crate compiles `exercises/capture.rs` instead of
//! `src/capture.rs`. The feature `mine` switches all of them.

#[cfg_attr(feature = "mine-capture", path = "../exercises/capture.rs")]
pub mod capture;

pub mod signals;

// To check one exercise, its tests are compiled into this crate: one run of rustc, where a test program beside it
// would need two, and the reader waits for them at every save. (libtest names a test's thread by its path, and
// the kernel keeps 15 bytes of that: hence the short name.)
#[cfg(all(test, feature = "check"))]
extern crate self as process;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-capture", path = "../tests/capture.rs")]
mod t;
