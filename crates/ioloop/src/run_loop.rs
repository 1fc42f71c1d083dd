//! The loop: what it consists of. Each of its verbs has a file in `run_loop/`.
//!
//! - `lifecycle`: making, starting, stopping and closing one; `iteration`: what it does while it runs;
//! - `schedule`: callbacks and timers; `registration` and `dispatch`: descriptors and their handlers; `signal_handlers`;
//!   `tasks`: futures;
//! - `handle`: what other threads have of it; `current`: which loop is meant; `observers`: who is told what; `tracing`: who
//!   sees each dispatch.
//!
//! Contract: nothing is borrowed while code of others runs. Everything that waits to run is in one of these fields and never
//! in a local variable, so a panic that unwinds out of the loop takes nothing along.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use prefork::fork::ForkGuard;

use crate::closure::Closure;
use crate::edge_waker::EdgeWaker;
use crate::listeners::Listeners;
use crate::poller::Kind;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::signals::Signals;
use crate::slab::Slab;
use crate::timers::Timers;
use crate::watchdog::Watchdog;
use crate::{Clock, Dispatch, Error, Event, Failure, Iteration, Outcome, Result, shared};

pub(crate) mod current;
#[cfg_attr(feature = "mine-dispatch", path = "../exercises/dispatch.rs")]
mod dispatch;
pub(crate) mod handle;
#[cfg_attr(feature = "mine-iteration", path = "../exercises/iteration.rs")]
mod iteration;
mod lifecycle;
mod observers;
mod registration;
mod schedule;
pub(crate) mod signal_handlers;
#[cfg_attr(feature = "mine-tasks", path = "../exercises/tasks.rs")]
pub(crate) mod tasks;
mod tracing;

/// How a loop is made.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it sleeps in; as [`IoLoop::configure`] says, unless it is set.
    pub poller: Kind,
    /// Where it has its time from.
    pub clock: Clock,
    /// Does it become the thread's current loop when it is made?
    pub make_current: Current,
}

/// Whether a loop becomes its thread's current loop when it is made. While a loop runs it is current in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Current {
    /// If the thread has none.
    #[default]
    IfNone,
    /// Yes, and it is an error if the thread has one.
    Required,
    /// No.
    No,
}

impl Default for Config {
    fn default() -> Self {
        Self { poller: Kind::configured(), clock: Clock::monotonic(), make_current: Current::default() }
    }
}

/// Which subscriber or tracer: see [`IoLoop::unsubscribe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// Of [`IoLoop::subscribe`].
    Subscriber(u64),
    /// Of [`IoLoop::trace`].
    Tracer(u64),
}

/// An event loop, of one thread. Clones are one loop; it is closed with the last of them.
#[derive(Clone)]
pub struct IoLoop(Rc<Inner>);

/// A callback. Most hold little: in place, they cost no allocation.
type Callback = Closure<IoLoop>;

/// A callback from another thread.
type Sent = Box<dyn FnOnce(&IoLoop) -> Outcome + Send>;

/// Code that runs more than once. The loop holds it while it runs, so it may be removed or replaced meanwhile.
type Shared<F> = Rc<RefCell<F>>;
type Handler = Shared<dyn FnMut(&IoLoop, Event) -> Outcome>;
type SignalHandler = RefCell<Box<dyn FnMut(&IoLoop, Signal) -> Outcome>>;
type FailureHook = Shared<dyn FnMut(&IoLoop, Failure)>;
type Subscriber = Shared<dyn FnMut(&IoLoop, Iteration)>;
type Tracer = Shared<dyn FnMut(&IoLoop, &Dispatch)>;

/// A future, taken out of the table while it is polled.
type Task = Option<Pin<Box<dyn Future<Output = Outcome>>>>;

struct Inner {
    config: Config,
    phase: Cell<Phase>,
    /// To run in the next iteration.
    callbacks: Queue<IoLoop>,
    timers: RefCell<Timers<Callback>>,
    registry: RefCell<Registry<Handler>>,
    tasks: RefCell<Slab<Task>>,
    signals: Signals<SignalHandler>,
    /// With the handles in other threads.
    shared: Arc<shared::Shared<Sent, EdgeWaker>>,
    on_failure: RefCell<Option<FailureHook>>,
    subscribers: Listeners<Subscriber>,
    tracers: Listeners<Tracer>,
    watchdog: RefCell<Option<Watchdog>>,
    _guard: ForkGuard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    Closed,
}

// Each borrows for one call: what it hands out runs while nothing is borrowed.
impl Inner {
    fn next_callback(&self) -> Option<Callback> {
        self.callbacks.pop()
    }

    fn next_due(&self) -> Option<Callback> {
        self.timers.borrow_mut().next_due()
    }

    fn next_event(&self) -> Option<Event> {
        self.registry.borrow_mut().next_event()
    }

    /// Was it stopped since the last time this was asked, or closed?
    fn take_stop(&self) -> bool {
        self.shared.take_stop() || self.phase.get() == Phase::Closed
    }
}

impl IoLoop {
    /// Which poller it sleeps in.
    pub fn kind(&self) -> Kind {
        self.0.config.poller
    }

    /// The time by its clock.
    pub fn time(&self) -> Duration {
        self.0.config.clock.now()
    }

    /// Does not keep the loop alive.
    pub(crate) fn downgrade(&self) -> WeakLoop {
        WeakLoop(Rc::downgrade(&self.0))
    }

    /// # Errors
    /// `EBADF` for a loop that is closed.
    fn must_be_open(&self, operation: &'static str) -> Result<()> {
        if self.0.phase.get() == Phase::Closed {
            return Err(Error::on(operation, "a loop that is closed")(Errno::EBADF));
        }
        Ok(())
    }
}

/// A loop that may be gone.
#[derive(Clone, Default)]
pub(crate) struct WeakLoop(Weak<Inner>);

impl WeakLoop {
    pub(crate) const fn new() -> Self {
        Self(Weak::new())
    }

    pub(crate) fn upgrade(&self) -> Option<IoLoop> {
        self.0.upgrade().map(IoLoop)
    }
}

impl fmt::Debug for IoLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, phase, queued) = (self.kind(), self.0.phase.get(), self.0.callbacks.len());
        write!(f, "IoLoop on {kind}: {phase:?}, {queued} callbacks")
    }
}
