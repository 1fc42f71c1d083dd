//! An event loop: Tornado's IOLoop in Rust.
//!
//! - [`IoLoop`]: what is given to it, and running it; [`LoopHandle`]: what other threads have of it;
//! - `iteration`: the order of everything; `dispatch`: running a handler, whatever it does; `run_sync`: futures on it,
//!   and a function that waits for one;
//! - [`callbacks`], [`timers`], [`handlers`]: what it keeps;
//! - [`poller`]: what it sleeps in: epoll, poll or select;
//! - [`Clock`], [`Failure`], `current`, `accept`: where the time comes from, what goes wrong, which loop is meant, and
//!   accepting on it.
//!
//! Contract: one thread runs a loop, and everything it calls may add, change or remove anything. What goes wrong in
//! a callback, a timer or a handler is reported, and the loop goes on.
//!
//! Some of its modules are exercises: with the feature `mine-timers` the file `exercises/timers.rs` takes the place of
//! `src/timers.rs`, and so on. `mine` switches all of them.
//!
//! ```
//! use std::time::Duration;
//!
//! let ioloop = ioloop::IoLoop::new()?;
//! ioloop.call_later(Duration::from_millis(1), |ioloop| ioloop.stop());
//! ioloop.start()?;
//! # Ok::<_, ioloop::Error>(())
//! ```

// What is yet to be written calls nothing of what is there for it.
#![cfg_attr(
    any(
        feature = "mine-blocking",
        feature = "mine-dispatch",
        feature = "mine-iteration",
        feature = "mine-run_sync"
    ),
    allow(dead_code)
)]

mod accept;
#[cfg_attr(feature = "mine-blocking", path = "../exercises/blocking.rs")]
pub mod blocking;
#[cfg_attr(feature = "mine-callbacks", path = "../exercises/callbacks.rs")]
pub mod callbacks;
mod calls;
mod clock;
mod current;
#[cfg_attr(feature = "mine-dispatch", path = "../exercises/dispatch.rs")]
mod dispatch;
#[cfg_attr(feature = "mine-epoll", path = "../exercises/epoll.rs")]
pub mod epoll;
mod events;
mod failure;
mod handle;
#[cfg_attr(feature = "mine-handlers", path = "../exercises/handlers.rs")]
pub mod handlers;
#[cfg_attr(feature = "mine-iteration", path = "../exercises/iteration.rs")]
mod iteration;
mod looping;
mod no_result;
mod once;
mod periodic;
pub mod poll;
pub mod poller;
mod ready;
#[cfg_attr(feature = "mine-run_sync", path = "../exercises/run_sync.rs")]
mod run_sync;
mod running;
pub mod select;
mod shared;
#[cfg_attr(feature = "mine-signals", path = "../exercises/signals.rs")]
pub mod signals;
mod stack;
mod sync;
mod tasks;
#[cfg_attr(feature = "mine-timers", path = "../exercises/timers.rs")]
pub mod timers;
mod trace;
mod waking;
mod watchers;
mod watching;

pub use accept::Removed;
pub use blocking::Blocked;
pub use clock::{Clock, FakeClock};
pub use cloexec::{Error, Result};
pub use events::{Events, Ready, Token};
pub use failure::{Cause, Failure, Origin, Outcome, Reply};
pub use handle::LoopHandle;
pub use looping::{Config, IoLoop};
pub use no_result::NoResult;
pub use periodic::Periodic;
pub use ready::{Sleep, Watched};
pub use tasks::TaskId;
pub use trace::Iteration;
pub use waking::SignalToken;

// Here for what the tests compile a second time: see `sync`.
use ::waker::Wake;

// To check one exercise, its tests are compiled into this crate: see the end of cloexec's.
#[cfg(all(test, feature = "check"))]
extern crate self as ioloop;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-blocking", path = "../tests/blocking.rs")]
#[cfg_attr(feature = "mine-callbacks", path = "../tests/callbacks.rs")]
#[cfg_attr(feature = "mine-dispatch", path = "../tests/dispatch.rs")]
#[cfg_attr(feature = "mine-epoll", path = "../tests/epoll.rs")]
#[cfg_attr(feature = "mine-handlers", path = "../tests/handlers.rs")]
#[cfg_attr(feature = "mine-iteration", path = "../tests/iteration.rs")]
#[cfg_attr(feature = "mine-run_sync", path = "../tests/run_sync.rs")]
#[cfg_attr(feature = "mine-signals", path = "../tests/signals.rs")]
#[cfg_attr(feature = "mine-timers", path = "../tests/timers.rs")]
mod t;
