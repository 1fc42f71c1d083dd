//! Waking a poller that sleeps.
//!
//! A loop sleeps in `poll` or `epoll_wait` until one of its descriptors is ready. A callback from another thread or
//! a signal does not make any of them ready, so the sender makes one more descriptor ready: the waker's.
//!
//! - [`pipe`]: a byte in a pipe, the waker of Tornado;
//! - [`eventfd`]: the same contract on a counter in the kernel, with one descriptor;
//! - [`coalesced`]: a flag in front of either, so that a second wake makes no system call;
//! - [`signal`]: a wake from a signal handler, and the set of signals that came.
//!
//! Contract: a wake never blocks. If it comes before the sleep, the sleep ends at once. Wakes are not counted: any
//! number of them is one. The loop first consumes the wake and then looks for work, because in the opposite order it
//! would lose a wake that comes between the two.
//!
//! Each module is an exercise: with the feature `mine-pipe`, the crate compiles `exercises/pipe.rs` instead of
//! `src/pipe.rs`, and so on. The feature `mine` switches all of them.

mod sync;
mod wake;
mod wakers;
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
