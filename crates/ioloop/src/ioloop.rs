//! The loop itself: what it is given, and what it does with it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use prefork::fork::ForkGuard;

use crate::callbacks::Callbacks;
use crate::failure::guarded;
use crate::handle::{Sent, Shared};
use crate::handlers::Handlers;
use crate::poller::{Kind, Poller, is_open};
use crate::signals::Signals;
use crate::tasks::Tasks;
use crate::timers::{TimerId, Timers};
use crate::trace::Iteration;
use crate::{
    Cause, Clock, Error, Events, Failure, LoopHandle, Origin, Outcome, Ready, Reply, Result, Token, current,
    iteration,
};

type Callback = Box<dyn FnOnce(&IoLoop) -> Outcome>;
type Run = Box<dyn FnMut(&IoLoop, Events) -> Outcome>;
type Hook = Box<dyn FnMut(&IoLoop, Failure)>;
type Heard = RefCell<Box<dyn FnMut(&IoLoop, Signal) -> Outcome>>;
type Subscriber = Box<dyn FnMut(&IoLoop, Iteration)>;

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
pub struct IoLoop(Rc<Inner>);

pub(crate) struct Inner {
    poller: RefCell<Box<dyn Poller>>,
    kind: Kind,
    clock: Clock,
    callbacks: Callbacks<Callback>,
    timers: RefCell<Timers<Callback>>,
    handlers: RefCell<Handlers<Handler>>,
    shared: Arc<Shared>,
    hook: RefCell<Option<Hook>>,
    started: Cell<bool>,
    stopped: Cell<bool>,
    closed: Cell<bool>,
    /// Was a handler removed since the last sleep? Then an event for nobody may be one that was on its way.
    removed: Cell<bool>,
    due: Cell<Vec<TimerId>>,
    ready: Cell<Vec<Ready>>,
    sent: Cell<Vec<Sent>>,
    signals: Signals<Heard>,
    tasks: Tasks,
    subscriber: RefCell<Option<Subscriber>>,
    _guard: ForkGuard,
}

struct Handler {
    fd: RawFd,
    interest: Events,
    /// Out of its place while it runs.
    run: Option<Run>,
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
        let shared = Arc::new(Shared::new()?);
        let inner = Inner {
            poller: RefCell::new(config.poller.make()?),
            kind: config.poller,
            clock: config.clock,
            callbacks: Callbacks::default(),
            timers: RefCell::default(),
            handlers: RefCell::default(),
            shared: Arc::clone(&shared),
            hook: RefCell::default(),
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

    // --- callbacks and timers

    /// Run this in the next iteration. Closed, the loop forgets it.
    pub fn add_callback<R: Reply>(&self, callback: impl FnOnce(&Self) -> R + 'static) {
        if !self.0.closed.get() {
            self.0.callbacks.add(Box::new(move |ioloop| callback(ioloop).outcome()));
        }
    }

    /// Run this at that time by the loop's clock, or as soon after as may be.
    pub fn call_at<R: Reply>(
        &self,
        deadline: Duration,
        callback: impl FnOnce(&Self) -> R + 'static,
    ) -> TimerId {
        let callback: Callback = Box::new(move |ioloop| callback(ioloop).outcome());
        self.0.timers.borrow_mut().add(deadline, callback)
    }

    /// Run this after so long.
    pub fn call_later<R: Reply>(
        &self,
        delay: Duration,
        callback: impl FnOnce(&Self) -> R + 'static,
    ) -> TimerId {
        self.call_at(self.time().saturating_add(delay), callback)
    }

    /// Have a timer not run. One that ran or was removed already is no error.
    pub fn remove_timeout(&self, timer: TimerId) {
        // Dropped outside of the borrow: what it carries may be the last of something that has a timer too.
        let carried = self.0.timers.borrow_mut().cancel(timer);
        drop(carried);
    }

    // --- handlers

    /// From now on, run `handler` when `source` is ready for what `interest` says. The loop owns the source until
    /// the handler is removed, so its number stays open and its own as long as the kernel may report it.
    ///
    /// # Errors
    /// `EEXIST` if its number is registered, `EPERM` for what is always ready: a regular file; `EINVAL` for what this
    /// poller cannot do; `ENOSPC`, see epoll_ctl(2). Nothing has changed then.
    pub fn add_handler<S: AsFd + 'static, R: Reply>(
        &self,
        source: S,
        interest: Events,
        mut handler: impl FnMut(&Self, &S, Events) -> R + 'static,
    ) -> Result<Token> {
        let fd = source.as_fd().as_raw_fd();
        self.register(
            fd,
            interest,
            Box::new(move |ioloop, events| handler(ioloop, &source, events).outcome()),
        )
    }

    fn register(&self, fd: RawFd, interest: Events, run: Run) -> Result<Token> {
        if self.0.closed.get() {
            return Err(Error::on("add_handler", "a loop that is closed")(Errno::EBADF));
        }
        let token = self.0.handlers.borrow_mut().insert(Handler { fd, interest, run: Some(run) });
        let added = self.0.poller.borrow_mut().add(fd, token, interest);
        if added.is_err() {
            let removed = self.0.handlers.borrow_mut().remove(token);
            drop(removed);
        }
        added.map(|()| token)
    }

    /// Watch it for something else.
    ///
    /// # Errors
    /// `ENOENT` for a token that is nobody's any more; the poller's.
    pub fn update_handler(&self, token: Token, interest: Events) -> Result<()> {
        let mut handlers = self.0.handlers.borrow_mut();
        let Some(handler) = handlers.get_mut(token) else {
            return Err(Error::on("update_handler", "a handler that was removed")(Errno::ENOENT));
        };
        // A oneshot that has fired is watched for nothing, whatever it was added with.
        if handler.interest != interest || interest.contains(Events::ONESHOT) {
            self.0.poller.borrow_mut().modify(handler.fd, token, interest)?;
            handler.interest = interest;
        }
        Ok(())
    }

    /// Have a handler not run any more, not even for an event that is on its way, and close its source. A token
    /// that is nobody's is no error. A handler may remove itself.
    pub fn remove_handler(&self, token: Token) {
        let Some(handler) = self.0.handlers.borrow_mut().remove(token) else { return };
        self.0.removed.set(true);
        // Before the source is closed with what `run` holds. Closed by somebody else, it is gone already.
        let _ = self.0.poller.borrow_mut().remove(handler.fd);
        drop(handler);
    }

    // --- signals

    /// From now on, run `handler` in the loop when one of these signals comes: each kind once, however many came.
    /// In the signal's own handler nothing happens but what wakes the loop.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner in this process, `EINVAL` for SIGKILL and SIGSTOP. The error names it.
    pub fn add_signal_handler<R: Reply>(
        &self,
        signals: &[Signal],
        mut handler: impl FnMut(&Self, Signal) -> R + 'static,
    ) -> Result<SignalToken> {
        let heard: Heard = RefCell::new(Box::new(move |ioloop, signal| handler(ioloop, signal).outcome()));
        self.0.signals.add(self.0.shared.waker().get_ref().writer(), signals, heard).map(SignalToken)
    }

    /// Give the signals back to whatever handled them before.
    pub fn remove_signal_handler(&self, signals: SignalToken) {
        self.0.signals.remove(signals.0);
    }

    // --- running

    /// Run until it is stopped.
    ///
    /// # Errors
    /// `EBUSY` if it runs already; the poller's.
    pub fn start(&self) -> Result<()> {
        if self.0.started.get() {
            return Err(Error::on("start", "a loop that runs")(Errno::EBUSY));
        }
        if self.0.stopped.replace(false) || self.0.shared.take_stop() {
            return Ok(());
        }
        let _running = Running::new(&self.0.started);
        let _current = current::Entered::new(self);
        let ended = loop {
            match iteration::turn(self) {
                Ok(true) => {}
                other => break other.map(drop),
            }
        };
        self.0.stopped.set(false);
        ended
    }

    /// Come back from [`IoLoop::start`] after what is queued and due in this iteration, before the next sleep. If it
    /// does not run, its next start comes back at once.
    pub fn stop(&self) {
        self.0.stopped.set(true);
    }

    /// Forget all that is registered, queued and due, close the sources, and take nothing more.
    pub fn close(&self) {
        self.0.closed.set(true);
        self.0.shared.close();
        self.0.callbacks.clear();
        let timers = self.0.timers.take();
        drop(timers);
        self.close_tasks();
        let tokens = self.0.handlers.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove_handler(token));
    }

    /// Have this hear of what goes wrong in callbacks, timers and handlers, in place of standard error. If it panics
    /// itself, so does `start`.
    pub fn handle_callback_exception(&self, hook: impl FnMut(&Self, Failure) + 'static) {
        let previous = self.0.hook.borrow_mut().replace(Box::new(hook));
        drop(previous);
    }

    /// Have this see what each iteration did, when it is over. Without it, nothing of that is measured.
    pub fn subscribe(&self, subscriber: impl FnMut(&Self, Iteration) + 'static) {
        let previous = self.0.subscriber.borrow_mut().replace(Box::new(subscriber));
        drop(previous);
    }

    // --- for the iteration

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(crate) fn is_started(&self) -> bool {
        self.0.started.get()
    }

    pub(crate) fn has_subscriber(&self) -> bool {
        self.0.subscriber.borrow().is_some()
    }

    pub(crate) fn tell(&self, iteration: Iteration) {
        // Out of its place while it runs: it may unsubscribe.
        let subscriber = self.0.subscriber.borrow_mut().take();
        if let Some(mut subscriber) = subscriber {
            subscriber(self, iteration);
            self.0.subscriber.borrow_mut().get_or_insert(subscriber);
        }
    }

    pub(crate) fn callbacks(&self) -> &Callbacks<Callback> {
        &self.0.callbacks
    }

    pub(crate) fn timers(&self) -> &RefCell<Timers<Callback>> {
        &self.0.timers
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.0.stopped.get() && !self.0.shared.take_stop() && !self.0.closed.get()
    }

    pub(crate) fn take_due_buffer(&self) -> Vec<TimerId> {
        self.0.due.take()
    }

    pub(crate) fn give_due_buffer(&self, due: Vec<TimerId>) {
        self.0.due.set(due);
    }

    pub(crate) fn take_ready_buffer(&self) -> Vec<Ready> {
        self.0.ready.take()
    }

    pub(crate) fn give_ready_buffer(&self, ready: Vec<Ready>) {
        self.0.ready.set(ready);
    }

    pub(crate) fn run(&self, origin: Origin, callback: Callback) {
        if let Err(cause) = guarded(|| callback(self)) {
            self.failed(Failure { origin, cause });
        }
    }

    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Duration) -> Result<()> {
        self.0.removed.set(false);
        let mut poller = self.0.poller.borrow_mut();
        let Clock::Fake(clock) = &self.0.clock else { return poller.wait(ready, Some(timeout)) };
        poller.wait(ready, Some(Duration::ZERO))?;
        if ready.is_empty() {
            clock.advance(timeout);
        }
        Ok(())
    }

    // ANCHOR: dispatch
    pub(crate) fn dispatch(&self, ready: Ready) {
        let Ready { token, events } = ready;
        let found =
            self.0.handlers.borrow_mut().get_mut(token).map(|handler| (handler.fd, handler.run.take()));
        let Some((fd, Some(mut run))) = found else {
            // Nobody was removed since the kernel was asked, so it reports something that the loop knows nothing of.
            if !self.0.removed.get() {
                self.rebuild();
            }
            return;
        };
        let outcome = if events.contains(Events::INVALID) {
            Err(Cause::Error(
                Error::on("poll", format_args!("descriptor {fd}, which is not open"))(Errno::EBADF).into(),
            ))
        } else {
            guarded(|| run(self, events))
        };
        // Back in its place, if it has that still; else it is dropped, with its source, now that it has come back.
        let homeless = match self.0.handlers.borrow_mut().get_mut(token) {
            Some(handler) => handler.run.replace(run),
            None => Some(run),
        };
        drop(homeless);
        if let Err(cause) = outcome {
            self.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
        }
    }
    // ANCHOR_END: dispatch

    fn handler_failed(&self, token: Token, failure: Failure) {
        let Origin::Handler(fd) = failure.origin else { return };
        // Closed behind the loop's back. If the file is open elsewhere, epoll goes on reporting it, and nobody can
        // tell it not to by a number that is gone: only a new epoll is rid of it.
        if !is_open(fd) {
            self.remove_handler(token);
            self.rebuild();
        }
        if !failure.is_broken_pipe() {
            self.failed(failure);
        }
    }

    /// Sleep in a new poller, with all that is registered and open.
    fn rebuild(&self) {
        // Without a descriptor for a new one, the old one has to do.
        let Ok(mut poller) = self.0.kind.make() else { return };
        let mut handlers = self.0.handlers.borrow_mut();
        for token in handlers.tokens() {
            if let Some(Handler { fd, interest, .. }) = handlers.get_mut(token) {
                // One that is not open has no events any more.
                let _ = poller.add(*fd, token, *interest);
            }
        }
        *self.0.poller.borrow_mut() = poller;
    }

    fn failed(&self, failure: Failure) {
        // Out of its place while it runs: it may set another.
        let hook = self.0.hook.borrow_mut().take();
        match hook {
            Some(mut hook) => {
                hook(self, failure);
                self.0.hook.borrow_mut().get_or_insert(hook);
            }
            None => eprintln!("ioloop: {failure}"),
        }
    }

    /// The waker is ready: take what other threads have sent.
    fn receive(&self) -> Result<()> {
        let mut sent = self.0.sent.take();
        self.0.shared.receive(&mut sent)?;
        sent.drain(..).for_each(|callback| self.0.callbacks.add(callback));
        self.0.sent.set(sent);
        // A signal writes to the same waker.
        for (signal, heard) in self.0.signals.take() {
            self.add_callback(move |ioloop| (heard.borrow_mut())(ioloop, signal));
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

/// Which signal handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalToken(Token);

/// The loop runs as long as it lives, however that ends.
struct Running<'a>(&'a Cell<bool>);

impl<'a> Running<'a> {
    fn new(started: &'a Cell<bool>) -> Self {
        started.set(true);
        Self(started)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
