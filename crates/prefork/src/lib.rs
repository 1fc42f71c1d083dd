//! From `bind` to a connection in the right child.
//!
//! A prefork server binds its sockets once, forks, and has every child accept from them. This crate has the
//! parts of it, each for itself:
//!
//! - [`sockets`]: every address that a name stands for, bound and listening;
//! - [`accept`]: the connections that are queued, a bounded number a turn, also when descriptors run out;
//! - [`status`]: what became of a child;
//! - [`fork`]: one child, with what must be done on either side, and a guard against what must not cross;
//! - [`supervise`]: some children, restarted when they fail, and stopped with their parent.
//!
//! [`Child`] is what the last three hold on to; [`Policy`], [`Event`] and [`Signals`] belong to the last.
//!
//! Contract: every descriptor is close-on-exec and every socket nonblocking from birth. No function here waits for
//! a child that it did not start, and none signals one that was waited for. Every error names the operation, the
//! object and the cause.
//!
//! Each module is an exercise: with the feature `mine-accept` the file `exercises/accept.rs` takes the place of
//! `src/accept.rs`, and so on. `mine` switches all of them.

mod child;
mod family;
mod signals;
mod threads;
pub use child::Child;
pub use cloexec::{Error, Result};
pub use family::{Ended, Event, Failed, Policy};
pub use signals::Signals;

#[cfg_attr(feature = "mine-accept", path = "../exercises/accept.rs")]
pub mod accept;

#[cfg_attr(feature = "mine-fork", path = "../exercises/fork.rs")]
pub mod fork;

#[cfg_attr(feature = "mine-sockets", path = "../exercises/sockets.rs")]
pub mod sockets;

#[cfg_attr(feature = "mine-status", path = "../exercises/status.rs")]
pub mod status;

#[cfg_attr(feature = "mine-supervise", path = "../exercises/supervise.rs")]
pub mod supervise;

// To check one exercise, its tests are compiled into this crate: see the end of cloexec's.
#[cfg(all(test, feature = "check"))]
extern crate self as prefork;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-accept", path = "../tests/accept.rs")]
#[cfg_attr(feature = "mine-fork", path = "../tests/fork.rs")]
#[cfg_attr(feature = "mine-sockets", path = "../tests/sockets.rs")]
#[cfg_attr(feature = "mine-status", path = "../tests/status.rs")]
#[cfg_attr(feature = "mine-supervise", path = "../tests/supervise.rs")]
mod t;
