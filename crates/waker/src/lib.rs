//! Waking a poller that sleeps.
//!
//! A loop sleeps in `poll` or `epoll_wait` until one of its descriptors is ready. Whoever has news for it that
//! no descriptor carries (a callback from another thread, a signal) makes one ready: the waker's.
//!
//! - [`pipe`]: the waker as Tornado has it, a byte in a pipe;
//! - [`eventfd`]: the same contract on a counter in the kernel, with one descriptor;
//! - [`coalesced`]: a flag in front of either, so that a second wake costs no system call;
//! - [`signal`]: a wake from a signal handler, and which signals it was.
//!
//! Contract: a wake never blocks, and one that comes before the sleep ends the sleep at once. Wakes are not
//! counted: any number of them is one. The loop consumes the wake first, and then looks at what it was for;
//! the other way round, a wake that comes in between is lost.
//!
//! Each module is an exercise: with the feature `mine-pipe` the file `exercises/pipe.rs` takes the place of
//! `src/pipe.rs`, and so on. `mine` switches all of them.

mod sync;
mod wake;
pub use cloexec::{Error, Result};
pub use wake::Wake;

#[cfg_attr(feature = "mine-pipe", path = "../exercises/pipe.rs")]
pub mod pipe;

#[cfg_attr(feature = "mine-eventfd", path = "../exercises/eventfd.rs")]
pub mod eventfd;

#[cfg_attr(feature = "mine-coalesced", path = "../exercises/coalesced.rs")]
pub mod coalesced;

#[cfg_attr(feature = "mine-signal", path = "../exercises/signal.rs")]
pub mod signal;

// To check one exercise, its tests are compiled into this crate: one run of rustc, where a test program beside it
// would need two, and the reader waits for them at every save. (libtest names a test's thread by its path, and
// the kernel keeps 15 bytes of that: hence the short name.)
#[cfg(all(test, feature = "check"))]
extern crate self as waker;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-pipe", path = "../tests/pipe.rs")]
#[cfg_attr(feature = "mine-eventfd", path = "../tests/eventfd.rs")]
#[cfg_attr(feature = "mine-coalesced", path = "../tests/coalesced.rs")]
#[cfg_attr(feature = "mine-signal", path = "../tests/signal.rs")]
mod t;
