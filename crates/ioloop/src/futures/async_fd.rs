//! A descriptor that operations wait for, in place of a handler.
//!
//! Contract: ready means that a call would probably not block: make it, and wait once more after EAGAIN. Any number of
//! tasks may wait for it, and an event wakes all of them. The descriptor stays armed from one wait to the next, and an
//! event that nothing waits for disarms it: so a hang-up that nothing reads costs one event, and a wait costs no
//! `epoll_ctl`. A wait that is dropped leaves no waker behind. An `AsyncFd` that is dropped is unregistered.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::run_loop::WeakLoop;
use crate::{Event, Events, IoLoop, Result, Token};

/// A descriptor that operations wait for.
pub struct AsyncFd<S> {
    state: Rc<State<S>>,
    ioloop: WeakLoop,
    token: Token,
}

// ANCHOR: state
struct State<S> {
    source: S,
    /// What the poller is asked for.
    armed: Cell<Events>,
    reading: Direction,
    writing: Direction,
}

#[derive(Default)]
struct Direction {
    /// How many events came. A wait is over when this is not what it was at its beginning.
    events: Cell<u64>,
    /// Did a call leave nothing to read, or no room to write, since the last event? Then the next call would block.
    exhausted: Cell<bool>,
    /// How many waits there were: each has a number.
    waits: Cell<u64>,
    waiting: RefCell<Vec<(u64, Waker)>>,
}
// ANCHOR_END: state

/// What the loop owns of it.
struct Source<S>(Rc<State<S>>);

impl<S: AsFd> AsFd for Source<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}

impl IoLoop {
    /// Watch a descriptor, which is nonblocking, for operations that wait for it.
    ///
    /// # Errors
    /// Those of [`IoLoop::add_handler`].
    pub fn watch<S: AsFd + 'static>(&self, source: S) -> Result<AsyncFd<S>> {
        let (reading, writing) = (Direction::default(), Direction::default());
        let state = Rc::new(State { source, armed: Cell::new(Events::empty()), reading, writing });
        let handler = |ioloop: &Self, source: &mut Source<S>, event: Event| source.0.notify(ioloop, event);
        // A oneshot for nothing: a hang-up, which is reported unasked, is reported once.
        let token = self.add_handler(Source(Rc::clone(&state)), Events::ONESHOT, handler)?;
        Ok(AsyncFd { state, ioloop: self.downgrade(), token })
    }
}

impl<S> State<S> {
    fn direction(&self, bit: Events) -> &Direction {
        if bit == Events::READ { &self.reading } else { &self.writing }
    }

    /// An event came: wake the tasks that wait for it, and disarm what nothing waits for.
    // ANCHOR: notify
    fn notify(&self, ioloop: &IoLoop, event: Event) -> Result<()> {
        let failed = event.events.intersects(Events::ALWAYS);
        let mut wanted = self.armed.get();
        for bit in [Events::READ, Events::WRITE] {
            // An error and a hang-up are for both: the call that the task makes next says what it is.
            if failed || event.events.contains(bit) {
                let was_waited_for = self.direction(bit).wake_all();
                wanted.set(bit, wanted.contains(bit) && was_waited_for);
            }
        }
        self.arm(ioloop, event.token, wanted)
    }
    // ANCHOR_END: notify

    /// Ask the poller for this; for nothing, as a oneshot, since a hang-up is reported unasked.
    fn arm(&self, ioloop: &IoLoop, token: Token, wanted: Events) -> Result<()> {
        if self.armed.get() != wanted {
            ioloop.update_handler(token, if wanted.is_empty() { Events::ONESHOT } else { wanted })?;
            self.armed.set(wanted);
        }
        Ok(())
    }
}

impl Direction {
    /// Count an event, and wake the tasks that wait for it. False if there are none.
    fn wake_all(&self) -> bool {
        self.events.set(self.events.get() + 1);
        self.exhausted.set(false);
        let mut waiting = self.waiting.take();
        let any = !waiting.is_empty();
        // Not under the borrow: a waker runs code of others. Then the room is used again.
        waiting.drain(..).for_each(|(_, waker)| waker.wake());
        waiting.append(&mut self.waiting.borrow_mut());
        self.waiting.replace(waiting);
        any
    }

    /// Wake this task at the next event, in place of the one that this wait came with before.
    fn wait(&self, wait: u64, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        let own = waiting.iter().position(|(other, _)| *other == wait);
        let replaced = match own {
            Some(own) if waiting[own].1.will_wake(waker) => None,
            Some(own) => Some(std::mem::replace(&mut waiting[own].1, waker.clone())),
            None => {
                waiting.push((wait, waker.clone()));
                None
            }
        };
        drop(waiting);
        drop(replaced);
    }

    fn forget(&self, wait: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let own = waiting.iter().position(|(other, _)| *other == wait);
        let forgotten = own.map(|own| waiting.swap_remove(own));
        drop(waiting);
        drop(forgotten);
    }
}

impl<S> AsyncFd<S> {
    /// What is watched.
    pub fn source(&self) -> &S {
        &self.state.source
    }

    /// Wait until it can be read.
    ///
    /// # Errors
    /// The poller's.
    pub async fn readable(&self) -> Result<()> {
        self.until(Events::READ).await
    }

    /// Wait until it can be written.
    ///
    /// # Errors
    /// The poller's.
    pub async fn writable(&self) -> Result<()> {
        self.until(Events::WRITE).await
    }

    /// Would a call block, as far as is known? It is a guess: the kernel reports what is there, whether it was right or not.
    pub(super) fn is_exhausted(&self, bit: Events) -> bool {
        self.state.direction(bit).exhausted.get()
    }

    /// A call took all that was there, or all the room that there was.
    pub(super) fn exhaust(&self, bit: Events) {
        self.state.direction(bit).exhausted.set(true);
    }

    pub(super) fn until(&self, bit: Events) -> Until<'_, S> {
        let direction = self.state.direction(bit);
        let wait = direction.waits.get();
        direction.waits.set(wait + 1);
        Until { fd: self, bit, wait, before: direction.events.get() }
    }
}

/// One wait.
// ANCHOR: until
pub(super) struct Until<'a, S> {
    fd: &'a AsyncFd<S>,
    bit: Events,
    /// Which one.
    wait: u64,
    /// How many events had come when it began: what is left from before is old news.
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
        // Without its loop, nothing polls it again.
        let Some(ioloop) = ioloop.upgrade() else { return Poll::Pending };
        if let Err(error) = state.arm(&ioloop, *token, state.armed.get() | self.bit) {
            return Poll::Ready(Err(error));
        }
        direction.wait(self.wait, context.waker());
        Poll::Pending
    }
}
// ANCHOR_END: until

impl<S> Drop for Until<'_, S> {
    fn drop(&mut self) {
        self.fd.state.direction(self.bit).forget(self.wait);
    }
}

impl<S> Drop for AsyncFd<S> {
    fn drop(&mut self) {
        if let Some(ioloop) = self.ioloop.upgrade() {
            ioloop.remove_handler(self.token);
        }
    }
}
