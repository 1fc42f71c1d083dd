//! Making, starting, stopping and closing a loop.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use prefork::fork::ForkGuard;

use super::iteration::{self, LONGEST};
use super::{Config, Inner, IoLoop, Phase, current};
use crate::edge_waker::EdgeWaker;
use crate::listeners::Listeners;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::signals::Signals;
use crate::{Error, Result, poller, shared};

impl IoLoop {
    /// A loop as it is configured.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: it needs two descriptors.
    #[track_caller]
    pub fn new() -> Result<Self> {
        // Not in a closure: the place that the guard names is the caller's.
        Self::with(Config::default())
    }

    /// A loop of your own choice.
    ///
    /// # Errors
    /// As [`IoLoop::new`]; `EEXIST` if it was to become current and there is a current one.
    #[track_caller]
    pub fn with(config: Config) -> Result<Self> {
        let guard = ForkGuard::new("an event loop");
        let (kind, clock, make_current) = (config.poller, config.clock.clone(), config.make_current);
        let ioloop = Self(Rc::new(Inner {
            config,
            phase: Cell::new(Phase::Idle),
            callbacks: Queue::default(),
            timers: RefCell::default(),
            registry: RefCell::new(Registry::new(Box::new(move || poller::make(kind, &clock)))?),
            tasks: RefCell::default(),
            signals: Signals::default(),
            shared: Arc::new(shared::Shared::new(EdgeWaker::new(kind)?)),
            on_failure: RefCell::default(),
            subscribers: Listeners::default(),
            tracers: Listeners::default(),
            watchdog: RefCell::default(),
            _guard: guard,
        }));
        let waker = ioloop.0.shared.waker().get_ref();
        let receive = Rc::new(RefCell::new(|ioloop: &Self, _| ioloop.receive()));
        ioloop.register(waker.as_fd().as_raw_fd(), waker.interest(), receive)?;
        current::made(&ioloop, make_current)?;
        Ok(ioloop)
    }

    /// Run until it is stopped.
    ///
    /// # Errors
    /// `EBUSY` if it runs already; the poller's.
    pub fn start(&self) -> Result<()> {
        if self.0.phase.get() == Phase::Running {
            return Err(Error::on("start", "a loop that runs")(Errno::EBUSY));
        }
        let _running = Running::new(self);
        let _current = current::Entered::new(self);
        iteration::run(self)
    }

    /// Return from [`IoLoop::start`] after what is queued and due in this iteration, before the next sleep. If it does not
    /// run, its next start returns at once.
    pub fn stop(&self) {
        self.0.shared.set_stop();
    }

    /// Forget everything registered, queued and due, close the sources, give the signals back, and take nothing more.
    pub fn close(&self) {
        self.0.phase.set(Phase::Closed);
        self.0.shared.close();
        self.0.callbacks.clear();
        drop(self.0.timers.take());
        drop(self.0.tasks.take());
        self.0.signals.clear();
        drop(self.0.watchdog.take());
        let tokens = self.0.registry.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove_handler(token));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Handles may live on: they must not queue what nothing will ever run.
        self.shared.close();
    }
}

/// The loop runs as long as this lives.
struct Running<'a>(&'a IoLoop);

impl<'a> Running<'a> {
    fn new(ioloop: &'a IoLoop) -> Self {
        if ioloop.0.phase.get() == Phase::Idle {
            ioloop.0.phase.set(Phase::Running);
        }
        ioloop.watchdog_on();
        Self(ioloop)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self(ioloop) = self;
        if ioloop.0.phase.get() == Phase::Running {
            ioloop.0.phase.set(Phase::Idle);
        }
        // However often it was stopped: a stop is a flag, not a counter.
        ioloop.0.shared.take_stop();
        ioloop.watchdog_off();
    }
}

impl IoLoop {
    /// Do what one iteration does and sleep for `longest` at most, in a loop that does not run. False if it was stopped.
    ///
    /// # Errors
    /// As [`IoLoop::start`].
    pub fn turn(&self, longest: Duration) -> Result<bool> {
        if self.0.phase.get() == Phase::Running {
            return Err(Error::on("turn", "a loop that runs")(Errno::EBUSY));
        }
        let _running = Running::new(self);
        let _current = current::Entered::new(self);
        iteration::turn(self, longest.min(LONGEST))
    }
}
