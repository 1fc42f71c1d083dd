//! Pipes that never block.
//!
//! A process that waits for one descriptor at a time serves nobody else meanwhile. With `O_NONBLOCK` a read
//! that finds nothing, or a write that finds no room, comes back at once with `EAGAIN` instead. This crate
//! sets that flag, makes pipes that have it from birth, reads all there is, and keeps what does not fit yet.
//!
//! - [`flags`]: read, set and clear the flag of an open file description;
//! - [`pipe`]: pipes with it on both ends, and how much they hold;
//! - [`drain`]: read all there is, up to a limit, and say why it stopped;
//! - [`outbox`]: bytes queued for a descriptor that cannot take them all now.
//!
//! Contract: on a nonblocking descriptor no function here blocks or tries again without end. None panics on
//! bad input, and every error names the operation, the object and the cause.
//!
//! Each module is an exercise: with the feature `mine-flags` the file `exercises/flags.rs` takes the place
//! of `src/flags.rs`, and so on. `mine` switches all of them.

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
