//! A descriptor that tasks can wait for, instead of a handler.
//!
//! Contract: readiness is a hint. Make the call, and if it fails with EAGAIN, wait again. Any number of tasks may wait
//! for one descriptor, and an event wakes all of them. The descriptor stays armed from one wait to the next, so a wait
//! needs no epoll_ctl(2). An event that no task waits for disarms the descriptor, so a hang-up that no task reads costs
//! one event. A wait that is dropped takes its waker along, and an `AsyncFd` its registration. Closing the loop ends each wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use nix::errno::Errno;

use crate::run_loop::WeakLoop;
use crate::{Error, Event, Events, IoLoop, Result, Token};

/// A descriptor that tasks can wait for: see [`IoLoop::watch`].
pub struct AsyncFd<S> {
    state: Rc<State<S>>,
    ioloop: WeakLoop,
    token: Token,
}

// ANCHOR: state
struct State<S> {
    source: S,
    /// The interest that the poller has now.
    armed: Cell<Events>,
    reading: Direction,
    writing: Direction,
    /// A fake clock stands still while a descriptor is armed, so without a task that waits it is disarmed at once.
    has_fake_clock: bool,
}

#[derive(Default)]
struct Direction {
    /// How many events there were. A wait is over when this has changed since the wait began.
    events: Cell<u64>,
    /// Did a call empty or fill the kernel's buffer since the last event? Then the next call would block.
    exhausted: Cell<bool>,
    /// How many waits there were: the number of the next one.
    waits: Cell<u64>,
    /// The waits that last, each with its number. The first is woken first.
    waiting: RefCell<VecDeque<(u64, Waker)>>,
}
// ANCHOR_END: state

/// The source that the loop's handler owns.
struct Source<S>(Rc<State<S>>);

impl<S: AsFd> AsFd for Source<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}

/// The handler was removed, because its loop is closed for example: end the waits, because no event will.
impl<S> Drop for Source<S> {
    fn drop(&mut self) {
        self.0.armed.set(Events::empty());
        let _ = [&self.0.reading, &self.0.writing].map(Direction::wake_all);
    }
}

impl IoLoop {
    /// Register a descriptor that tasks can wait for. It must be nonblocking.
    ///
    /// # Errors
    /// The errors of [`IoLoop::add_handler`].
    pub fn watch<S: AsFd + 'static>(&self, source: S) -> Result<AsyncFd<S>> {
        let (reading, writing) = (Direction::default(), Direction::default());
        let (armed, has_fake_clock) = (Cell::new(Events::empty()), self.awaits().is_some());
        let state = Rc::new(State { source, armed, reading, writing, has_fake_clock });
        let handler = |ioloop: &Self, source: &mut Source<S>, event: Event| {
            // Other code closed the descriptor: neither its events nor these errors would end.
            source.0.notify(ioloop, event).inspect_err(|_| ioloop.remove_handler(event.token))
        };
        // An empty oneshot: a hang-up, which is always reported, is reported only once.
        let token = self.add_handler(Source(Rc::clone(&state)), Events::ONESHOT, handler)?;
        Ok(AsyncFd { state, ioloop: self.downgrade(), token })
    }
}

impl<S> State<S> {
    fn direction(&self, bit: Events) -> &Direction {
        if bit == Events::READ { &self.reading } else { &self.writing }
    }

    /// Handle an event: wake the tasks that wait for it, and disarm the directions that no task waits for.
    // ANCHOR: notify
    fn notify(&self, ioloop: &IoLoop, event: Event) -> Result<()> {
        let failed = event.events.intersects(Events::ALWAYS);
        let mut wanted = self.armed.get();
        for bit in [Events::READ, Events::WRITE] {
            // An error or a hang-up ends a wait in both directions: the task's next call returns what happened.
            if failed || event.events.contains(bit) {
                let was_waited_for = self.direction(bit).wake_all();
                wanted.set(bit, wanted.contains(bit) && was_waited_for && !self.has_fake_clock);
            }
        }
        self.arm(ioloop, event.token, wanted)
    }
    // ANCHOR_END: notify

    /// Set the poller's interest. Without any it is an empty oneshot, because a hang-up is always reported.
    fn arm(&self, ioloop: &IoLoop, token: Token, wanted: Events) -> Result<()> {
        if self.armed.get() != wanted {
            ioloop.update_handler(token, if wanted.is_empty() { Events::ONESHOT } else { wanted })?;
            self.armed.set(wanted);
        }
        Ok(())
    }
}

impl Direction {
    /// Count an event, and wake the tasks that wait for it. False if no task waits.
    fn wake_all(&self) -> bool {
        self.events.set(self.events.get() + 1);
        self.exhausted.set(false);
        // Those that wait now, the first of them first. One at a time, and not under the borrow: a waker runs code that may
        // wait here again, and if it panics, the others are still in the queue.
        let now = self.waiting.borrow().len();
        for _ in 0..now {
            let first = self.waiting.borrow_mut().pop_front();
            if let Some((_, waker)) = first {
                waker.wake();
            }
        }
        now > 0
    }

    /// Keep a waker for the next event, in place of the one that this wait had before.
    fn wait(&self, wait: u64, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        let own = waiting.iter().position(|(other, _)| *other == wait);
        let replaced = match own {
            Some(own) if waiting[own].1.will_wake(waker) => None,
            Some(own) => Some(mem::replace(&mut waiting[own].1, waker.clone())),
            None => {
                waiting.push_back((wait, waker.clone()));
                None
            }
        };
        drop(waiting);
        drop(replaced);
    }

    fn forget(&self, wait: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let own = waiting.iter().position(|(other, _)| *other == wait);
        let forgotten = own.and_then(|own| waiting.remove(own));
        drop(waiting);
        drop(forgotten);
    }
}

impl<S> AsyncFd<S> {
    /// The source that was registered.
    pub fn source(&self) -> &S {
        &self.state.source
    }

    /// Wait until the descriptor is ready to be read.
    ///
    /// # Errors
    /// The errors of [`IoLoop::update_handler`]; `EBADF` if the loop was dropped.
    pub async fn readable(&self) -> Result<()> {
        self.until(Events::READ).await
    }

    /// Wait until the descriptor is ready to be written.
    ///
    /// # Errors
    /// As of [`AsyncFd::readable`].
    pub async fn writable(&self) -> Result<()> {
        self.until(Events::WRITE).await
    }

    /// Would a call probably block? A wrong guess costs only a wait, because the kernel reports an armed descriptor anyway.
    pub(super) fn is_exhausted(&self, bit: Events) -> bool {
        self.state.direction(bit).exhausted.get()
    }

    /// Note that a call emptied or filled the kernel's buffer.
    pub(super) fn exhaust(&self, bit: Events) {
        self.state.direction(bit).exhausted.set(true);
    }

    pub(super) fn until(&self, bit: Events) -> Until<'_, S> {
        let direction = self.state.direction(bit);
        let wait = direction.waits.replace(direction.waits.get() + 1);
        Until { fd: self, bit, wait, before: direction.events.get() }
    }
}

/// One wait: a future that is done at the next event.
// ANCHOR: until
pub(super) struct Until<'a, S> {
    fd: &'a AsyncFd<S>,
    bit: Events,
    /// The number of this wait.
    wait: u64,
    /// How many events there were when this wait began: earlier events do not end it.
    before: u64,
}

impl<S> Future for Until<'_, S> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let AsyncFd { state, ioloop, token } = self.fd;
        let direction = state.direction(self.bit);
        if direction.events.get() != self.before {
            return Poll::Ready(Ok(()));
        }
        if !state.armed.get().contains(self.bit) {
            let gone = || Error::on("wait", "a descriptor whose loop was dropped")(Errno::EBADF);
            let ioloop = ioloop.upgrade().ok_or_else(gone);
            let wanted = state.armed.get() | self.bit;
            if let Err(error) = ioloop.and_then(|ioloop| state.arm(&ioloop, *token, wanted)) {
                return Poll::Ready(Err(error));
            }
        }
        direction.wait(self.wait, context.waker());
        Poll::Pending
    }
}
// ANCHOR_END: until

impl<S> Drop for Until<'_, S> {
    fn drop(&mut self) {
        let AsyncFd { state, ioloop, token } = self.fd;
        let direction = state.direction(self.bit);
        direction.forget(self.wait);
        if state.has_fake_clock && direction.waiting.borrow().is_empty() {
            let _ = ioloop.upgrade().map(|ioloop| state.arm(&ioloop, *token, state.armed.get() - self.bit));
        }
    }
}

impl<S> Drop for AsyncFd<S> {
    fn drop(&mut self) {
        self.ioloop.upgrade().iter().for_each(|ioloop| ioloop.remove_handler(self.token));
    }
}
