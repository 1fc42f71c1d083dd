//! Pipes that never block.
//!
//! While a process waits for one descriptor, it cannot serve any other. With `O_NONBLOCK`, a read without data or
//! a write without room fails with `EAGAIN` instead of waiting. This crate sets that flag, makes pipes that have it
//! from the start, reads everything that is there, and queues bytes that do not fit yet.
//!
//! - [`flags`]: read, set and clear the flag of an open file description;
//! - [`pipe`]: make pipes with the flag on both ends, and read and change their capacity;
//! - [`drain`]: read everything that is there, up to a limit, and return the reason for stopping;
//! - [`outbox`]: queue bytes for a descriptor that cannot take them all now.
//!
//! Contract: on a nonblocking descriptor, no function blocks or retries forever. None panics on bad input, and
//! every error names the operation, the object and the cause.
//!
//! Each module is an exercise: with the feature `mine-flags`, the crate compiles `exercises/flags.rs` instead
//! of `src/flags.rs`, and so on. The feature `mine` switches all of them.

pub use cloexec::{Error, Result};

#[cfg_attr(feature = "mine-drain", path = "../exercises/drain.rs")]
pub mod drain;

#[cfg_attr(feature = "mine-flags", path = "../exercises/flags.rs")]
pub mod flags;

#[cfg_attr(feature = "mine-outbox", path = "../exercises/outbox.rs")]
pub mod outbox;

#[cfg_attr(feature = "mine-pipe", path = "../exercises/pipe.rs")]
pub mod pipe;

// To check one exercise, its tests are compiled into this crate: one run of rustc, where a test program beside it
// would need two, and the reader waits for them at every save. (libtest names a test's thread by its path, and
// the kernel keeps 15 bytes of that: hence the short name.)
#[cfg(all(test, feature = "check"))]
extern crate self as nonblocking;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-drain", path = "../tests/drain.rs")]
#[cfg_attr(feature = "mine-flags", path = "../tests/flags.rs")]
#[cfg_attr(feature = "mine-outbox", path = "../tests/outbox.rs")]
#[cfg_attr(feature = "mine-pipe", path = "../tests/pipe.rs")]
mod t;
