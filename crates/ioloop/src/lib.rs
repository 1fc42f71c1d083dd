//! An event loop: Tornado's IOLoop in Rust.
//!
//! - [`IoLoop`], in `run_loop.rs`: the fields of a loop. Each group of its methods has a file in `run_loop/`: `lifecycle`,
//!   `iteration`, `sleep`, `dispatch`, `registration`, `schedule`, `signal_handlers`, `tasks`, `handle`, `wakeups`, `current`,
//!   `report`, `observers`, `tracing`.
//! - Built on the public functions of a loop: `futures`, `accept`, `periodic`.
//! - Mechanisms, which do not use a loop: [`poller`], [`slab`], `registry`, [`timers`] on a [`heap`], `queue`,
//!   `closure`, `shared` with its `loop_waker` and `sync`, [`signals`], [`watchdog`] with its `call_stack`, `alarm`, `failure`,
//!   `listeners`, `clock`, `event`, `trace`.
//!
//! Contract: one thread runs a loop, and everything that the loop calls may add, change or remove anything. The loop reports
//! an error or a panic of a callback, a timer, a handler or a task, and goes on.
//!
//! Some modules are exercises: with the feature `mine-timers` the file `exercises/timers.rs` takes the place of
//! `src/timers.rs`, and so on. The feature `mine` switches all of them.
//!
//! ```
//! use std::time::Duration;
//!
//! let ioloop = ioloop::IoLoop::new()?;
//! ioloop.call_later(Duration::from_millis(1), |ioloop| ioloop.stop());
//! ioloop.start()?;
//! # Ok::<_, ioloop::Error>(())
//! ```

// A starter calls none of the functions that the reference uses.
#![cfg_attr(
    any(
        feature = "mine-block_on",
        feature = "mine-dispatch",
        feature = "mine-epoll",
        feature = "mine-iteration",
        feature = "mine-run_sync",
        feature = "mine-tasks",
        feature = "mine-watchdog"
    ),
    allow(dead_code)
)]

mod accept;
mod alarm;
mod call_stack;
mod clock;
mod closure;
mod event;
mod failure;
mod futures;
pub mod heap;
mod listeners;
mod loop_waker;
mod periodic;
pub mod poller;
mod queue;
mod registry;
mod run_loop;
mod shared;
#[cfg_attr(feature = "mine-signals", path = "../exercises/signals.rs")]
pub mod signals;
#[cfg_attr(feature = "mine-slab", path = "../exercises/slab.rs")]
pub mod slab;
mod sync;
mod task_cell;
#[cfg_attr(feature = "mine-timers", path = "../exercises/timers.rs")]
pub mod timers;
mod trace;
#[cfg_attr(feature = "mine-watchdog", path = "../exercises/watchdog.rs")]
pub mod watchdog;

pub use accept::AcceptHandle;
pub use clock::{Clock, FakeClock};
pub use cloexec::{Error, Result};
pub use event::{Event, Events, Token};
pub use failure::{Cause, Failure, IntoOutcome, Origin, Outcome};
pub use futures::async_fd::AsyncFd;
pub use futures::block_on::block_on;
pub use futures::join::{JoinError, JoinHandle};
pub use futures::no_result::NoResult;
pub use futures::offload::Offloaded;
pub use futures::sleep::Sleep;
pub use periodic::Periodic;
pub use run_loop::handle::LoopHandle;
pub use run_loop::signal_handlers::SignalToken;
pub use run_loop::tasks::TaskId;
pub use run_loop::{Config, Current, IoLoop, Subscription, WeakLoop};
pub use trace::{Dispatch, Iteration};
pub use watchdog::Blocked;

// The tests compile `shared` a second time, with another `Wake`: see `sync`.
use ::waker::Wake;

// To check one exercise, its tests are compiled into this crate: see the end of cloexec's.
#[cfg(all(test, feature = "check"))]
extern crate self as ioloop;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-block_on", path = "../tests/block_on.rs")]
#[cfg_attr(feature = "mine-dispatch", path = "../tests/dispatch.rs")]
#[cfg_attr(feature = "mine-epoll", path = "../tests/epoll.rs")]
#[cfg_attr(feature = "mine-iteration", path = "../tests/iteration.rs")]
#[cfg_attr(feature = "mine-run_sync", path = "../tests/run_sync.rs")]
#[cfg_attr(feature = "mine-signals", path = "../tests/signals.rs")]
#[cfg_attr(feature = "mine-slab", path = "../tests/slab.rs")]
#[cfg_attr(feature = "mine-tasks", path = "../tests/tasks.rs")]
#[cfg_attr(feature = "mine-timers", path = "../tests/timers.rs")]
#[cfg_attr(feature = "mine-watchdog", path = "../tests/watchdog.rs")]
mod t;
