//! Descriptors across exec.
//!
//! A descriptor survives `execve` unless its *close-on-exec* flag is set. This crate reads and changes that
//! flag, opens files with the flag already set, sets it on descriptors that other code left inheritable, and
//! starts a program with exactly the descriptors that you choose.
//!
//! - [`flags`]: read, set and clear the flag of one descriptor;
//! - [`open`]: open files, pipes, sockets and duplicates that are close-on-exec from the start;
//! - [`sweep`]: set the flag on every descriptor from a number up;
//! - [`pass`]: start a program with chosen descriptors at chosen numbers, and no others.
//!
//! Contract: no function leaves a descriptor open when it fails, none panics on bad input, and every error
//! names the operation, the object and the cause.
//!
//! Each module is an exercise: with the feature `mine-flags`, the crate compiles `exercises/flags.rs` instead
//! of `src/flags.rs`, and so on. The feature `mine` switches all of them.

mod error;
mod image;
pub use error::{Error, Result};

#[cfg_attr(feature = "mine-flags", path = "../exercises/flags.rs")]
pub mod flags;

#[cfg_attr(feature = "mine-open", path = "../exercises/open.rs")]
pub mod open;

#[cfg_attr(feature = "mine-pass", path = "../exercises/pass.rs")]
pub mod pass;

#[cfg_attr(feature = "mine-sweep", path = "../exercises/sweep.rs")]
pub mod sweep;

// To check one exercise, its tests are compiled into this crate: one run of rustc, where a test program beside it
// would need two, and the reader waits for them at every save. (libtest names a test's thread by its path, and
// the kernel keeps 15 bytes of that: hence the short name.)
#[cfg(all(test, feature = "check"))]
extern crate self as cloexec;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-flags", path = "../tests/flags.rs")]
#[cfg_attr(feature = "mine-open", path = "../tests/open.rs")]
#[cfg_attr(feature = "mine-pass", path = "../tests/pass.rs")]
#[cfg_attr(feature = "mine-sweep", path = "../tests/sweep.rs")]
mod t;
