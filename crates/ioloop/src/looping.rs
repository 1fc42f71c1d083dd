//! The loop itself: what it is given, and what it does with it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use prefork::fork::ForkGuard;
use waker::eventfd;

use crate::blocking::Watch;
use crate::callbacks::Callbacks;
use crate::calls::{Callback, Timed};
use crate::handle::{Sent, Shared};
use crate::handlers::Handlers;
use crate::poller::{Kind, Poller};
use crate::signals::Signals;
use crate::tasks::Tasks;
use crate::timers::{TimerId, Timers};
use crate::waking::Heard;
use crate::watchers::{Hook, Subscriber};
use crate::watching::Handler;
use crate::{Clock, Error, Events, LoopHandle, Ready, Reply, Result, current};

/// How a loop is made.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it sleeps in; as [`IoLoop::configure`] says, unless it is set.
    pub poller: Kind,
    /// Where it has its time from.
    pub clock: Clock,
    /// Does it become the thread's current loop? `None`: if there is none. `Some(true)`: and it is an error if there
    /// is. `Some(false)`: not now; while it runs it is current all the same.
    pub make_current: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self { poller: current::configured(), clock: Clock::monotonic(), make_current: None }
    }
}

/// An event loop, of one thread. Clones are one loop; with the last of them it is closed.
#[derive(Clone)]
pub struct IoLoop(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) poller: RefCell<Box<dyn Poller>>,
    pub(crate) kind: Kind,
    pub(crate) clock: Clock,
    pub(crate) callbacks: Callbacks<Callback>,
    pub(crate) timers: RefCell<Timers<Timed>>,
    pub(crate) handlers: RefCell<Handlers<Handler>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) hook: RefCell<Option<Hook>>,
    /// What the hook has panicked with: `start` goes on with it.
    pub(crate) thrown: Cell<Option<Box<dyn Any + Send>>>,
    pub(crate) started: Cell<bool>,
    pub(crate) stopped: Cell<bool>,
    pub(crate) closed: Cell<bool>,
    /// Was a handler removed since the last sleep? Then an event for nobody may be one that was on its way.
    pub(crate) removed: Cell<bool>,
    pub(crate) due: Cell<Vec<TimerId>>,
    pub(crate) ready: Cell<Vec<Ready>>,
    pub(crate) sent: Cell<Vec<Sent>>,
    pub(crate) signals: Signals<Heard>,
    pub(crate) tasks: Tasks,
    pub(crate) subscriber: RefCell<Option<Subscriber>>,
    pub(crate) watch: RefCell<Option<Watch>>,
    _guard: ForkGuard,
}

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
        let shared = Arc::new(Shared::new(eventfd::Waker::new()?));
        let inner = Inner {
            poller: RefCell::new(config.poller.make()?),
            kind: config.poller,
            clock: config.clock,
            callbacks: Callbacks::default(),
            timers: RefCell::default(),
            handlers: RefCell::default(),
            shared: Arc::clone(&shared),
            hook: RefCell::default(),
            thrown: Cell::default(),
            started: Cell::new(false),
            stopped: Cell::new(false),
            closed: Cell::new(false),
            removed: Cell::new(false),
            due: Cell::default(),
            ready: Cell::default(),
            sent: Cell::default(),
            signals: Signals::default(),
            tasks: Tasks::default(),
            subscriber: RefCell::default(),
            watch: RefCell::default(),
            _guard: guard,
        };
        let ioloop = Self(Rc::new(inner));
        let fd = shared.waker().as_fd().as_raw_fd();
        ioloop.register(fd, Events::READ, Box::new(|ioloop, _| ioloop.receive().outcome()))?;
        current::made(&ioloop, config.make_current)?;
        Ok(ioloop)
    }

    /// What the loop is called in other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle(Arc::clone(&self.0.shared))
    }

    /// Is this the handle's loop?
    pub fn is(&self, handle: &LoopHandle) -> bool {
        Arc::ptr_eq(&self.0.shared, &handle.0)
    }

    /// Which poller it sleeps in.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The time by its clock.
    pub fn time(&self) -> Duration {
        self.0.clock.now()
    }

    /// Forget all that is registered, queued and due, close the sources, give the signals back, and take nothing more.
    pub fn close(&self) {
        self.0.closed.set(true);
        self.0.shared.close();
        self.0.callbacks.clear();
        let timers = self.0.timers.take();
        drop(timers);
        self.close_tasks();
        self.0.signals.clear();
        let watch = self.0.watch.take();
        drop(watch);
        let tokens = self.0.handlers.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove_handler(token));
    }

    /// # Errors
    /// `EBADF` for a loop that is closed.
    pub(crate) fn must_be_open(&self, operation: &'static str) -> Result<()> {
        if self.0.closed.get() {
            return Err(Error::on(operation, "a loop that is closed")(Errno::EBADF));
        }
        Ok(())
    }

    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Rc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(weak: &Weak<Inner>) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Handles of it may live on, and are not to queue what nobody will ever run.
        self.shared.close();
    }
}

impl fmt::Debug for IoLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, callbacks, started, closed, .. } = &*self.0;
        let (queued, started, closed) = (callbacks.len(), started.get(), closed.get());
        write!(f, "IoLoop on {kind}, started: {started}, closed: {closed}, {queued} callbacks")
    }
}
