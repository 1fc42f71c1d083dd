//! A complete event loop, as small as it can be read: callbacks, timers, handlers of descriptors, a waker, and a stop.
//!
//! Contract: [`Loop::run`] calls everything in the loop's own thread. Callbacks run in the order in which they were
//! added, and a callback that one of them adds runs in the next iteration. A timer never runs early, and timers run in
//! the order of their deadlines. A handler runs while its descriptor is ready. The loop sleeps in poll(2) while there is
//! nothing to do, and a callback from another thread, through [`Handle::call_soon`], ends its sleep.
//!
//! Each piece between anchors is printed in chapter 7. The diffs in `breaks/` are those with which that chapter
//! breaks it; a test shows what each of them breaks.

// ANCHOR: whole
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use waker::eventfd::Waker;

/// An event loop.
// ANCHOR: types
pub struct Loop {
    callbacks: Vec<Callback>,
    timers: BTreeMap<Timer, Callback>, // the nearest deadline first
    handlers: Handlers,
    handle: Handle,
    last_number: u64,
    stopped: bool,
}

type Callback = Box<dyn FnOnce(&mut Loop)>;
type Handlers = BTreeMap<u64, Rc<Handler>>;

struct Handler {
    fd: Box<dyn AsFd>,
    interest: PollFlags,
    call: Call,
}

type Call = Box<dyn Fn(&mut Loop, PollFlags)>;
// ANCHOR_END: types

/// Names a timer: its deadline, and a number, because two timers may have the same deadline.
// ANCHOR: timer
pub type Timer = (Instant, u64);
// ANCHOR_END: timer

/// What other threads can do with a loop.
// ANCHOR: handle
#[derive(Clone)]
pub struct Handle {
    queue: Arc<Queue>,
    waker: Arc<Waker>,
}

type Queue = Mutex<Vec<Box<dyn FnOnce(&mut Loop) + Send>>>;
// ANCHOR_END: handle

impl Handle {
    /// Runs a callback in the loop's thread, in the loop's next iteration, and ends the loop's sleep.
    ///
    /// # Errors
    /// The waker's error. Then the callback runs after the next wake that succeeds.
    // ANCHOR: call_from_a_thread
    pub fn call_soon(&self, callback: impl FnOnce(&mut Loop) + Send + 'static) -> io::Result<()> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
        Ok(self.waker.wake()?)
    }
    // ANCHOR_END: call_from_a_thread
}

impl Loop {
    /// Makes a loop with one handler, that of its waker.
    ///
    /// # Errors
    /// `EMFILE` if the process has no free descriptor.
    // ANCHOR: new
    pub fn new() -> io::Result<Self> {
        let handle = Handle { queue: Arc::default(), waker: Arc::new(Waker::new()?) };
        let (callbacks, timers, handlers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut new =
            Self { callbacks, timers, handlers, handle: handle.clone(), last_number: 0, stopped: false };
        new.add_handler(Arc::clone(&handle.waker), PollFlags::POLLIN, move |event_loop, _| {
            let _ = handle.waker.consume(); // First, or a wake would be lost.
            let queued = mem::take(&mut *handle.queue.lock().unwrap_or_else(PoisonError::into_inner));
            event_loop.callbacks.extend(queued.into_iter().map(|callback| callback as Callback));
        });
        Ok(new)
    }
    // ANCHOR_END: new

    /// Runs the loop until [`stop`](Self::stop).
    ///
    /// # Errors
    /// The errors of poll(2), except `EINTR`: `EINVAL` if there are more handlers than the process may have descriptors.
    // Not formatted, so that the chapters stand in one column.
    #[rustfmt::skip]
    // ANCHOR: run
    pub fn run(&mut self) -> io::Result<()> {                           // ch. 7
        while !self.stopped {                                           // ch. 8
            for callback in mem::take(&mut self.callbacks) {            // ch. 7
                callback(self);                                         // ch. 12
            }
            for timer in self.due_timers() {                            // ch. 7
                self.run_timer(timer);                                  // ch. 8
            }
            let mut fds = poll_fds(&self.handlers);                     // ch. 1, 2
            match poll(&mut fds, self.time_to_sleep()) {                // ch. 2, 3, 5, 9
                Err(Errno::EINTR) => continue,                          // ch. 4, 8
                Err(errno) => return Err(errno.into()),                 // ch. 6
                Ok(_) => {}
            }
            for (number, events) in ready(&self.handlers, &fds) {       // ch. 5
                if let Some(handler) = self.handlers.get(&number) {     // ch. 5
                    Rc::clone(handler).call(self, events);              // ch. 3
                }
            }
        }
        Ok(())                                                          // ch. 6
    }
    // ANCHOR_END: run

    /// Ends [`run`](Self::run) after this iteration, for good: this loop runs only once. Callbacks and timers that did not
    /// run yet are kept until the loop is dropped.
    // ANCHOR: stop
    pub fn stop(&mut self) {
        self.stopped = true;
    }
    // ANCHOR_END: stop

    /// Runs a callback in the next iteration.
    // ANCHOR: call_soon
    pub fn call_soon(&mut self, callback: impl FnOnce(&mut Self) + 'static) {
        self.callbacks.push(Box::new(callback));
    }
    // ANCHOR_END: call_soon

    /// Runs a callback in the first iteration at or after `deadline`. Returns what cancels it.
    // ANCHOR: timers
    pub fn call_at(&mut self, deadline: Instant, callback: impl FnOnce(&mut Self) + 'static) -> Timer {
        let timer = (deadline, self.number());
        self.timers.insert(timer, Box::new(callback));
        timer
    }

    /// Cancels a timer, and drops its callback. Does nothing if the timer ran or
    /// was canceled before.
    pub fn cancel(&mut self, timer: Timer) {
        self.timers.remove(&timer);
    }

    /// The timers that are due, in the order of their deadlines.
    fn due_timers(&self) -> Vec<Timer> {
        let due = self.timers.range(..=(Instant::now(), u64::MAX));
        due.map(|(timer, _)| *timer).collect()
    }

    /// Runs a timer, unless one before it has canceled it.
    fn run_timer(&mut self, timer: Timer) {
        if let Some(callback) = self.timers.remove(&timer) {
            callback(self);
        }
    }
    // ANCHOR_END: timers

    /// How long poll may sleep: until the first deadline, but not at all while a callback waits or the loop stops.
    // ANCHOR: time_to_sleep
    fn time_to_sleep(&self) -> PollTimeout {
        if self.stopped || !self.callbacks.is_empty() {
            return PollTimeout::ZERO;
        }
        let first = self.timers.first_key_value();
        let Some(((deadline, _), _)) = first else { return PollTimeout::NONE };
        let left = deadline.saturating_duration_since(Instant::now());
        let left = left + Duration::from_nanos(999_999); // Rounds up.
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }
    // ANCHOR_END: time_to_sleep

    /// Calls a handler whenever poll(2) reports the descriptor: an event of `interest`, or an error, or a hang-up. Returns
    /// a number with which to remove the handler.
    // ANCHOR: handlers
    pub fn add_handler(
        &mut self,
        fd: impl AsFd + 'static,
        interest: PollFlags,
        call: impl Fn(&mut Self, PollFlags) + 'static,
    ) -> u64 {
        let number = self.number();
        let handler = Handler { fd: Box::new(fd), interest, call: Box::new(call) };
        self.handlers.insert(number, Rc::new(handler));
        number
    }

    /// Removes a handler, which is not called again. A handler may remove itself.
    /// Does nothing if the handler was removed before.
    pub fn remove_handler(&mut self, number: u64) {
        self.handlers.remove(&number);
    }
    // ANCHOR_END: handlers

    /// Returns what other threads need to reach this loop.
    // ANCHOR: a_handle
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
    // ANCHOR_END: a_handle

    /// A number that no timer and no handler had before.
    // ANCHOR: number
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
    // ANCHOR_END: number
}

impl Handler {
    fn call(&self, event_loop: &mut Loop, events: PollFlags) {
        (self.call)(event_loop, events);
    }
}

/// What poll(2) is asked: for each handler its descriptor and the events that it waits for.
// ANCHOR: poll
fn poll_fds(handlers: &Handlers) -> Vec<PollFd<'_>> {
    let fds = handlers.values().map(|it| PollFd::new(it.fd.as_fd(), it.interest));
    fds.collect()
}

/// What poll(2) answered: the numbers of the handlers whose descriptors are
/// ready, and their events.
fn ready(handlers: &Handlers, fds: &[PollFd<'_>]) -> Vec<(u64, PollFlags)> {
    let events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    let answers = handlers.keys().copied().zip(events);
    answers.filter(|(_, events)| !events.is_empty()).collect()
}
// ANCHOR_END: poll
// ANCHOR_END: whole
