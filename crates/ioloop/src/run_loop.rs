//! The loop's state. Each group of the loop's operations has a file in `run_loop/`.
//!
//! - `lifecycle`: make, start, stop and close a loop; `iteration`: the order of an iteration; `sleep`: wait for events;
//! - `schedule`: callbacks and timers; `registration` and `dispatch`: descriptors and their handlers; `signal_handlers`;
//!   `tasks`: futures;
//! - `handle`: wake and stop a loop from another thread; `wakeups`: what a wake from a thread or a signal brings;
//!   `current`: the loop of a thread and of the process;
//! - `report`: failures are reported; `observers`: iterations and blocked loops; `tracing`: each dispatch.
//!
//! Contract: nothing is borrowed while the loop runs a callback, a timer, a handler or any other user code. Everything
//! that waits to run is in one of these fields and never in a local variable, so a panic that unwinds out of the loop
//! loses no queued work.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use prefork::fork::ForkGuard;

use crate::alarm::Alarm;
use crate::clock::Awaited;
use crate::closure::Closure;
use crate::listeners::Listeners;
use crate::loop_waker::LoopWaker;
use crate::poller::Kind;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::signals::Signals;
use crate::slab::Slab;
#[allow(unused_imports, reason = "an answer to the exercise `tasks` may use std's")]
use crate::sync;
use crate::task_cell::TaskFuture;
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
mod report;
mod schedule;
pub(crate) mod signal_handlers;
mod sleep;
#[cfg_attr(feature = "mine-tasks", path = "../exercises/tasks.rs")]
pub(crate) mod tasks;
mod tracing;
mod wakeups;

/// Options of a new loop.
#[derive(Debug, Clone)]
pub struct Config {
    /// The poller. The default is the one of the last [`IoLoop::configure`], or else epoll.
    pub poller: Kind,
    /// The clock that deadlines refer to.
    pub clock: Clock,
    /// Does the loop become the thread's current loop when it is made?
    pub make_current: Current,
}

/// Whether a new loop becomes its thread's current loop. A loop that runs is current in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Current {
    /// Yes, if the thread has no current loop.
    #[default]
    IfNone,
    /// Yes; `EEXIST` if the thread has a current loop.
    Required,
    /// No.
    No,
}

impl Default for Config {
    fn default() -> Self {
        Self { poller: Kind::configured(), clock: Clock::monotonic(), make_current: Current::default() }
    }
}

/// Identifies a subscriber or a tracer, for [`IoLoop::unsubscribe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// Returned by [`IoLoop::subscribe`].
    Subscriber(u64),
    /// Returned by [`IoLoop::trace`].
    Tracer(u64),
}

/// An event loop that runs in one thread. A clone refers to the same loop. Dropping the last clone closes it.
#[derive(Clone)]
pub struct IoLoop(Rc<Inner>);

// ANCHOR: types
/// A callback. Up to three captured words are stored in the `Closure` itself, without an allocation; more are put into a box.
type Callback = Closure<IoLoop>;

/// A callback from another thread.
type Sent = Box<dyn FnOnce(&IoLoop) -> Outcome + Send>;

/// A closure that runs more than once. The loop clones its `Rc` to run it, so the closure may remove or replace itself.
type Callable<F> = Rc<RefCell<F>>;
type Handler = Callable<dyn FnMut(&IoLoop, Event) -> Outcome>;
// ANCHOR_END: types
// Without an `Rc`: `Signals` puts each value into one.
type SignalHandler = RefCell<Box<dyn FnMut(&IoLoop, Signal) -> Outcome>>;
type FailureHook = Callable<dyn FnMut(&IoLoop, Failure)>;
type Subscriber = Callable<dyn FnMut(&IoLoop, Iteration)>;
type Tracer = Callable<dyn FnMut(&IoLoop, &Dispatch)>;

/// A task's future. `None` while it is being polled.
type Task = Option<TaskFuture>;

// ANCHOR: inner
struct Inner {
    /// The kind of the poller, and the clock.
    config: Config,
    /// Idle, running, closing or closed.
    phase: Cell<Phase>,
    /// Callbacks that wait to run.
    callbacks: Queue<IoLoop>,
    timers: RefCell<Timers<Callback>>,
    registry: RefCell<Registry<Handler>>,
    tasks: RefCell<Slab<Task>>,
    signals: Signals<SignalHandler>,
    /// What a `Handle` in another thread uses.
    shared: Arc<shared::Shared<Sent, LoopWaker>>,
    on_failure: RefCell<Option<FailureHook>>,
    /// Where the payload of the last panic of `on_failure` in this run is, to recognize that panic.
    thrown_by_hook: Cell<*const ()>,
    subscribers: Listeners<Subscriber>,
    tracers: Listeners<Tracer>,
    watchdog: RefCell<Option<(Watchdog, Alarm)>>,
    _guard: ForkGuard,
}
// ANCHOR_END: inner

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    /// It was closed while it ran, and has not returned yet.
    Closing,
    Closed,
}

// ANCHOR: next
// Each method borrows a field for one call and returns one item, so user code runs while nothing is borrowed.
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

    /// Was the loop stopped since the last call, or closed?
    fn should_stop(&self) -> bool {
        self.shared.take_stop() || self.is_closed()
    }
}
// ANCHOR_END: next

impl Inner {
    fn is_closed(&self) -> bool {
        matches!(self.phase.get(), Phase::Closing | Phase::Closed)
    }
}

impl IoLoop {
    /// The poller that this loop sleeps in.
    pub fn kind(&self) -> Kind {
        self.0.config.poller
    }

    /// The time by this loop's clock.
    pub fn time(&self) -> Duration {
        self.0.config.clock.now()
    }

    /// Until the result is dropped, the loop waits for something that is not a timer: see [`FakeClock`](crate::FakeClock).
    pub(crate) fn awaits(&self) -> Option<Awaited> {
        self.0.config.clock.awaits()
    }

    /// A reference that does not keep the loop alive.
    pub fn downgrade(&self) -> WeakLoop {
        WeakLoop(Rc::downgrade(&self.0))
    }

    /// # Errors
    /// `EBADF` if the loop is closed.
    pub(crate) fn must_be_open(&self, operation: &'static str) -> Result<()> {
        if self.0.is_closed() {
            return Err(Error::on(operation, "a loop that is closed")(Errno::EBADF));
        }
        Ok(())
    }
}

/// A reference that does not keep a loop alive: for what the loop owns, such as a handler's values.
#[derive(Clone, Default)]
pub struct WeakLoop(Weak<Inner>);

impl WeakLoop {
    pub(crate) const fn new() -> Self {
        Self(Weak::new())
    }

    /// The loop, unless it was dropped.
    pub fn upgrade(&self) -> Option<IoLoop> {
        self.0.upgrade().map(IoLoop)
    }
}

impl fmt::Debug for IoLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, phase, queued) = (self.kind(), self.0.phase.get(), self.0.callbacks.len());
        write!(f, "IoLoop on {kind}: {phase:?}, {queued} callbacks")
    }
}
