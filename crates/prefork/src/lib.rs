//! The parts of a prefork server: sockets, accepting, forking and supervising.
//!
//! A prefork server binds its sockets once, forks, and lets every child accept from them. Each part can be used alone:
//!
//! - [`sockets`]: a listening socket for every address that a host name resolves to;
//! - [`accept`]: accepting queued connections, a bounded number at a time, even without free descriptors;
//! - [`status`]: decoding a child's wait status, and waiting for it;
//! - [`fork`]: forking one child safely, and a guard against forking with state that must not be shared;
//! - [`supervise`]: restarting children that fail, and stopping all of them with their parent.
//!
//! [`fork`] returns a [`Child`], which [`supervise`] holds. [`Policy`], [`Event`], [`Signals`] and [`Lifeline`] belong
//! to [`supervise`].
//!
//! Contract: every descriptor is created close-on-exec, and every socket nonblocking. No function here waits for a
//! child that it did not fork, or signals one that has been reaped. Every error names the operation, the object and
//! the cause.
//!
//! Each module is an exercise: with the feature `mine-accept`, the file `exercises/accept.rs` replaces `src/accept.rs`.
//! The feature `mine` replaces all five.

mod child;
mod event;
mod lifeline;
mod policy;
mod signals;
mod threads;
pub use child::Child;
pub use cloexec::{Error, Result};
pub use event::{Ended, Event, Failed};
pub use lifeline::Lifeline;
pub use policy::Policy;
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
