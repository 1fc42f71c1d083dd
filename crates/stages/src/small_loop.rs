//! A complete event loop, as small as it can be read: callbacks, timers, handlers of descriptors, and a waker.
//!
//! Contract: [`Loop::run`] calls everything in the loop's own thread. Callbacks run in the order in which they were
//! added, and a callback that one of them adds runs in the next iteration. A timer never runs early, and timers run in
//! the order of their deadlines. A handler runs while its descriptor is ready. The loop sleeps in poll(2) while there is
//! nothing to do, and a callback from another thread, through [`Handle::call_soon`], ends its sleep.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use waker::eventfd::Waker;

// ANCHOR: types
type Callback = Box<dyn FnOnce(&mut Loop)>;
type Call = Box<dyn Fn(&mut Loop, PollFlags)>;
type Handlers = BTreeMap<u64, Rc<Handler>>;
type Queue = Arc<Mutex<Vec<Box<dyn FnOnce(&mut Loop) + Send>>>>;

/// An event loop.
pub struct Loop {
    callbacks: VecDeque<Callback>,
    /// By deadline, and by number where two have the same.
    timers: BTreeMap<(Instant, u64), Callback>,
    handlers: Handlers,
    handle: Handle,
    /// The number of the next timer or handler.
    next: u64,
    stopped: bool,
}

struct Handler {
    fd: Box<dyn AsFd>,
    interest: PollFlags,
    call: Call,
}

/// What other threads can do with a loop.
#[derive(Clone)]
pub struct Handle {
    queue: Queue,
    waker: Arc<Waker>,
}
// ANCHOR_END: types

impl Loop {
    /// Runs the loop until [`stop`](Self::stop).
    ///
    /// # Errors
    /// The errors of poll(2), except `EINTR`: `EINVAL` if there are more handlers than the process may have descriptors.
    // The chapters stand in a column.
    #[rustfmt::skip]
    // ANCHOR: run
    pub fn run(&mut self) -> io::Result<()> {                           // ch. 7
        while !self.stopped {                                           // ch. 8
            for callback in mem::take(&mut self.callbacks) {            // ch. 7
                callback(self);                                         // ch. 12
            }
            for timer in self.take_due_timers() {                       // ch. 7
                timer(self);                                            // ch. 8
            }
            let handlers = self.handlers.clone();                       // ch. 5
            let mut fds = poll_fds(&handlers);                          // ch. 1, 2
            match poll(&mut fds, self.time_to_sleep()) {                // ch. 2, 3, 5, 9
                Err(Errno::EINTR) => continue,                          // ch. 4, 8
                Err(errno) => return Err(errno.into()),                 // ch. 6
                Ok(_) => {}
            }
            for (number, events) in ready(&handlers, &fds) {            // ch. 5
                if let Some(handler) = self.handlers.get(&number) {     // ch. 5
                    Rc::clone(handler).call(self, events);              // ch. 3
                }
            }
        }
        Ok(())                                                          // ch. 6
    }
    // ANCHOR_END: run

    /// Makes a loop with one handler, that of its waker.
    ///
    /// # Errors
    /// `EMFILE` if the process has no free descriptor.
    // ANCHOR: new
    pub fn new() -> io::Result<Self> {
        let handle = Handle { queue: Queue::default(), waker: Arc::new(Waker::new()?) };
        let mut new = Self {
            callbacks: VecDeque::new(),
            timers: BTreeMap::new(),
            handlers: BTreeMap::new(),
            handle: handle.clone(),
            next: 0,
            stopped: false,
        };
        new.add_handler(Arc::clone(&handle.waker), PollFlags::POLLIN, move |event_loop, _| {
            // First the waker, then the queue: the other way round, a wake between the two would be lost.
            let _ = handle.waker.consume();
            let queued = mem::take(&mut *handle.queue.lock().unwrap_or_else(PoisonError::into_inner));
            event_loop.callbacks.extend(queued.into_iter().map(|callback| callback as Callback));
        });
        Ok(new)
    }
    // ANCHOR_END: new

    /// Runs a callback in the next iteration.
    pub fn call_soon(&mut self, callback: impl FnOnce(&mut Self) + 'static) {
        self.callbacks.push_back(Box::new(callback));
    }

    /// Runs a callback in the first iteration at or after `deadline`.
    pub fn call_at(&mut self, deadline: Instant, callback: impl FnOnce(&mut Self) + 'static) {
        let number = self.number();
        self.timers.insert((deadline, number), Box::new(callback));
    }

    /// Calls a handler whenever poll(2) reports the descriptor: an event of `interest`, or an error, or a hang-up. Returns
    /// a number with which to remove the handler.
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

    /// Removes a handler, which is not called again. A handler may remove itself. Without its number, nothing happens.
    pub fn remove_handler(&mut self, number: u64) {
        self.handlers.remove(&number);
    }

    /// Returns what other threads need to reach this loop.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends [`run`](Self::run) after this iteration. Callbacks and timers that did not run yet are kept.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Removes the timers that are due, in the order of their deadlines.
    // ANCHOR: take_due_timers
    fn take_due_timers(&mut self) -> impl Iterator<Item = Callback> + use<> {
        let later = self.timers.split_off(&(Instant::now(), u64::MAX));
        mem::replace(&mut self.timers, later).into_values()
    }
    // ANCHOR_END: take_due_timers

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How long poll may sleep: until the first deadline, but not at all while a callback waits or the loop stops.
    // ANCHOR: time_to_sleep
    fn time_to_sleep(&self) -> PollTimeout {
        if self.stopped || !self.callbacks.is_empty() {
            return PollTimeout::ZERO;
        }
        let Some(((deadline, _), _)) = self.timers.first_key_value() else { return PollTimeout::NONE };
        // Rounded up: with 0.4 ms left, a timeout of 0 would return at once, again and again.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }
    // ANCHOR_END: time_to_sleep
}

impl Handler {
    fn call(&self, event_loop: &mut Loop, events: PollFlags) {
        (self.call)(event_loop, events);
    }
}

/// What poll(2) is asked: for each handler its descriptor and the events that it waits for.
// ANCHOR: poll_fds
fn poll_fds(handlers: &Handlers) -> Vec<PollFd<'_>> {
    handlers.values().map(|handler| PollFd::new(handler.fd.as_fd(), handler.interest)).collect()
}
// ANCHOR_END: poll_fds

/// What poll(2) answered: the numbers of the handlers whose descriptors are ready, and their events.
// ANCHOR: ready
fn ready(handlers: &Handlers, fds: &[PollFd<'_>]) -> Vec<(u64, PollFlags)> {
    let events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    handlers.keys().copied().zip(events).filter(|(_, events)| !events.is_empty()).collect()
}
// ANCHOR_END: ready

impl Handle {
    /// Runs a callback in the loop's thread, in the loop's next iteration, and ends the loop's sleep.
    ///
    /// # Errors
    /// The waker's error. Then the callback runs when something else wakes the loop.
    pub fn call_soon(&self, callback: impl FnOnce(&mut Loop) + Send + 'static) -> io::Result<()> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
        Ok(self.waker.wake()?)
    }
}
