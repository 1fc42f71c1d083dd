//! Lifecycle: make, start, stop and close a loop.

use std::cell::{Cell, RefCell};
use std::iter;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use prefork::fork::ForkGuard;

use super::iteration::{self, LONGEST};
use super::{Config, Inner, IoLoop, Phase, current};
use crate::failure::Drops;
use crate::listeners::Listeners;
use crate::loop_waker::LoopWaker;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::signals::Signals;
use crate::{Error, Event, Result, poller, shared};

impl IoLoop {
    /// A new loop with the default [`Config`].
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM` of epoll_create1(2) and eventfd(2): a loop on epoll needs two descriptors, one on poll or
    /// select needs one. `ENOSPC`, `ENOMEM` of epoll_ctl(2). `EINVAL` on select if the descriptor of the loop's waker is 1024
    /// (FD_SETSIZE) or more.
    #[track_caller]
    pub fn new() -> Result<Self> {
        // A direct call, not a closure: `#[track_caller]` must name the caller's line in the fork guard's error.
        Self::with(Config::default())
    }

    /// A new loop with this config.
    ///
    /// # Errors
    /// The errors of [`IoLoop::new`]; `EEXIST` if the config has [`Current::Required`](super::Current::Required) and the
    /// thread has a current loop.
    #[track_caller]
    pub fn with(config: Config) -> Result<Self> {
        let guard = ForkGuard::new("an event loop");
        let config = Config { clock: config.clock.for_a_loop(), ..config };
        let (kind, clock, make_current) = (config.poller, config.clock.clone(), config.make_current);
        let waker = LoopWaker::new(kind)?;
        let own = waker.as_fd().as_raw_fd();
        let ioloop = Self(Rc::new(Inner {
            config,
            phase: Cell::new(Phase::Idle),
            callbacks: Queue::default(),
            timers: RefCell::default(),
            registry: RefCell::new(Registry::new(Box::new(move || poller::make(kind, &clock, own)))?),
            tasks: RefCell::default(),
            signals: Signals::default(),
            shared: Arc::new(shared::Shared::new(waker)),
            on_failure: RefCell::default(),
            thrown_by_hook: Cell::new(ptr::null()),
            subscribers: Listeners::default(),
            tracers: Listeners::default(),
            watchdog: RefCell::default(),
            _guard: guard,
        }));
        // ANCHOR: waker
        let waker = ioloop.0.shared.waker().get_ref();
        let receive = Rc::new(RefCell::new(|ioloop: &Self, event: Event| ioloop.receive(event.token)));
        ioloop.register(waker.as_fd().as_raw_fd(), waker.interest(), receive)?;
        // ANCHOR_END: waker
        current::apply(&ioloop, make_current)?;
        Ok(ioloop)
    }

    /// Run the loop in this thread until it is stopped or closed. Returns at once, without an error, if the loop is
    /// closed already.
    ///
    /// # Errors
    /// `EBUSY` if the loop runs already; the errors of [`Poller::wait`](crate::poller::Poller::wait). If a descriptor was closed
    /// before its handler was removed, the loop moves to a new epoll: `EMFILE`, `ENFILE`, `ENOMEM`, `ENOSPC` if it cannot.
    pub fn start(&self) -> Result<()> {
        let Some(_running) = Running::new(self, "start", true)? else { return Ok(()) };
        let _current = current::Entered::new(self);
        iteration::run(self)
    }

    /// Stop the loop: [`IoLoop::start`] returns at its next check, which comes after the callbacks and timers of an
    /// iteration and before its sleep. After a stop in a callback or a timer, the rest of this iteration's callbacks and
    /// timers run; after a stop in a handler, the other handlers, and then the next iteration's callbacks and timers. If
    /// the loop does not run, its next `start` returns at once.
    pub fn stop(&self) {
        self.0.shared.set_stop();
    }

    /// Close the loop: drop its callbacks, timers, tasks, handlers, subscribers, tracers and watchdog, close the sources of
    /// the handlers, and restore the dispositions of its signals. A closed loop runs and keeps nothing more. If it runs, it
    /// returns before its next sleep.
    ///
    /// It is no longer its thread's current loop then, or the loop of the process. In a child of a fork, this closes the copy of
    /// the parent's loop, and changes nothing of the parent's.
    ///
    /// If a value panics when it is dropped, everything else is dropped all the same, and then the first panic goes on.
    pub fn close(&self) {
        self.0.close();
    }
}

/// How many signals Linux has.
const SIGNALS: usize = 64;

impl Inner {
    // ANCHOR: close
    fn close(&self) {
        let runs = matches!(self.phase.get(), Phase::Running | Phase::Closing);
        self.phase.set(if runs { Phase::Closing } else { Phase::Closed });
        // Nothing is borrowed while a value is dropped, because it may call the loop. It finds the loop closed, so nothing is
        // added meanwhile.
        let mut drops = Drops::default();
        // First, so that a value which removes its handler when it is dropped makes no call to the poller: in a child of a fork,
        // epoll_ctl(2) would change the parent's epoll.
        let handlers = self.registry.borrow_mut().remove_all();
        self.shared.close().into_iter().for_each(|sent| drops.of(sent));
        iter::from_fn(|| self.next_callback()).for_each(|callback| drops.of(callback));
        self.timers.borrow_mut().collect(|| Duration::MAX);
        iter::from_fn(|| self.next_due()).for_each(|timer| drops.of(timer));
        let tasks = self.tasks.borrow().tokens();
        for task in tasks {
            let removed = self.tasks.borrow_mut().remove(task);
            drops.of(removed);
        }
        // Again after a panic, which may leave owners: at most one for each signal.
        let _ = (0..SIGNALS).any(|_| drops.within(|| self.signals.clear()));
        drops.of(self.watchdog.take());
        handlers.into_iter().for_each(|handler| drops.of(handler));
        self.subscribers.clear().into_iter().for_each(|subscriber| drops.of(subscriber));
        self.tracers.clear().into_iter().for_each(|tracer| drops.of(tracer));
        // A loop that runs needs the hook until it returns, even if it is closed twice.
        if !runs {
            drops.of(self.on_failure.take());
        }
        // When `drops` is dropped, the first panic goes on.
    }
    // ANCHOR_END: close
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Handles may outlive the loop: they must not queue callbacks that never run.
        self.close();
    }
}

/// Marks the loop as running, and arms its watchdog, until it is dropped.
struct Running<'a> {
    ioloop: &'a IoLoop,
    /// Until it is stopped, and not for a single iteration.
    until_stopped: bool,
}

impl<'a> Running<'a> {
    /// `None` if the loop is closed. It may run nevertheless, and then the failure hook is the outer [`Running`]'s to drop.
    ///
    /// # Errors
    /// `EBUSY` if the loop runs and is not closed.
    fn new(ioloop: &'a IoLoop, operation: &'static str, until_stopped: bool) -> Result<Option<Self>> {
        match ioloop.0.phase.get() {
            Phase::Running => Err(Error::on(operation, "a loop that runs")(Errno::EBUSY)),
            Phase::Closing | Phase::Closed => Ok(None),
            Phase::Idle => {
                ioloop.0.phase.set(Phase::Running);
                // The panic has left the run before, and its payload is gone.
                ioloop.0.thrown_by_hook.set(ptr::null());
                ioloop.watchdog_on();
                Ok(Some(Self { ioloop, until_stopped }))
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self { ioloop, until_stopped } = self;
        // Dropped last.
        let mut drops = Drops::default();
        if ioloop.0.phase.get() == Phase::Running {
            ioloop.0.phase.set(Phase::Idle);
        } else {
            // The loop was closed while it ran, and needed the hook until now.
            ioloop.0.phase.set(Phase::Closed);
            drops.of(ioloop.0.on_failure.take());
        }
        // Clears any stop that came after the one obeyed: a stop is a flag, not a counter. A single iteration may have obeyed
        // none: a stop that came during its sleep or from a handler is for the next iteration.
        if *until_stopped {
            ioloop.0.shared.take_stop();
        }
        ioloop.watchdog_off();
    }
}

impl IoLoop {
    /// Run one iteration of a loop that does not run, with a sleep of at most `longest`. Returns false, without a
    /// sleep, if the loop was stopped or closed. A stop that comes too late for this iteration, from a handler or during
    /// the sleep, is obeyed by the next one.
    ///
    /// # Errors
    /// The errors of [`IoLoop::start`].
    pub fn turn(&self, longest: Duration) -> Result<bool> {
        let Some(_running) = Running::new(self, "turn", false)? else { return Ok(false) };
        let _current = current::Entered::new(self);
        iteration::turn(self, longest.min(LONGEST))
    }
}
