//! Readiness and time as futures: what an operation waits for, in place of a handler or a timer.
//!
//! Contract: ready means that a call would probably not block: make it, and wait once more after EAGAIN. A sleep that is
//! dropped has no timer any more, and a descriptor that is dropped is not watched any more. A wait that is dropped while
//! its descriptor stays leaves one event to come, which wakes somebody in vain.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::looping::Inner;
use crate::timers::TimerId;
use crate::{Events, IoLoop, Result, Token};

/// A descriptor that operations wait for. One that waits to read and one that waits to write, at a time.
pub struct Watched<S> {
    state: Rc<State<S>>,
    ioloop: Weak<Inner>,
    token: Token,
}

struct State<S> {
    source: S,
    /// What somebody waits for.
    wanted: Cell<Events>,
    /// What came since somebody waited for it.
    ready: Cell<Events>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

/// An end of the state that the loop owns.
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
    pub fn watch<S: AsFd + 'static>(&self, source: S) -> Result<Watched<S>> {
        let state = Rc::new(State {
            source,
            wanted: Cell::new(Events::empty()),
            ready: Cell::new(Events::empty()),
            reader: Cell::default(),
            writer: Cell::default(),
        });
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        let this = Rc::clone(&own);
        let handler = move |ioloop: &Self, Source(state): &Source<S>, events: Events| {
            // An error and a hang-up are news for both: the call that they make next says what it is.
            let both = if events.intersects(Events::ALWAYS) {
                Events::READ | Events::WRITE
            } else {
                Events::empty()
            };
            let news = (events | both) & (Events::READ | Events::WRITE);
            state.ready.set(state.ready.get() | news);
            state.wanted.set(state.wanted.get() & !news);
            for (bit, waiting) in [(Events::READ, &state.reader), (Events::WRITE, &state.writer)] {
                // Whoever waits for the other keeps its waker here.
                if news.contains(bit)
                    && let Some(waker) = waiting.take()
                {
                    waker.wake();
                }
            }
            // It was a oneshot, so nothing more is reported until somebody waits for it: not what was asked for, which
            // is level-triggered, and not a hang-up either, which is reported unasked as long as it lasts.
            let wanted = state.wanted.get();
            match this.get() {
                Some(token) if !wanted.is_empty() => ioloop.update_handler(token, wanted | Events::ONESHOT),
                _ => Ok(()),
            }
        };
        let token = self.add_handler(Source(Rc::clone(&state)), Events::ONESHOT, handler)?;
        own.set(Some(token));
        Ok(Watched { state, ioloop: self.downgrade(), token })
    }

    /// Wait for so long.
    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep { ioloop: self.downgrade(), deadline: self.time().saturating_add(time), timer: None }
    }
}

/// Comes to its end at a time. Its timer is cancelled with it.
pub struct Sleep {
    ioloop: Weak<Inner>,
    deadline: Duration,
    timer: Option<TimerId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Without its loop, nobody polls it again.
        let Some(ioloop) = IoLoop::upgrade(&self.ioloop) else { return Poll::Pending };
        if let Some(timer) = self.timer.take() {
            ioloop.remove_timeout(timer);
        }
        if ioloop.time() >= self.deadline {
            return Poll::Ready(());
        }
        // Anew each time: the waker may be another than last time.
        let waker = context.waker().clone();
        self.timer = Some(ioloop.call_at(self.deadline, move |_| waker.wake()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(ioloop), Some(timer)) = (IoLoop::upgrade(&self.ioloop), self.timer) {
            ioloop.remove_timeout(timer);
        }
    }
}

impl<S> Watched<S> {
    /// What is watched.
    pub fn source(&self) -> &S {
        &self.state.source
    }

    /// Wait until it can be read.
    ///
    /// # Errors
    /// The poller's.
    pub async fn readable(&self) -> Result<()> {
        self.until(Events::READ, &self.state.reader).await
    }

    /// Wait until it can be written.
    ///
    /// # Errors
    /// The poller's.
    pub async fn writable(&self) -> Result<()> {
        self.until(Events::WRITE, &self.state.writer).await
    }

    // ANCHOR: until
    fn until(&self, bit: Events, waiting: &Cell<Option<Waker>>) -> impl Future<Output = Result<()>> {
        // What is left from before is old news.
        self.state.ready.set(self.state.ready.get() & !bit);
        poll_fn(move |context| {
            if self.state.ready.get().contains(bit) {
                return Poll::Ready(Ok(()));
            }
            waiting.set(Some(context.waker().clone()));
            if self.state.wanted.get().contains(bit) {
                return Poll::Pending;
            }
            let wanted = self.state.wanted.get() | bit;
            let Some(ioloop) = IoLoop::upgrade(&self.ioloop) else { return Poll::Pending };
            match ioloop.update_handler(self.token, wanted | Events::ONESHOT) {
                Ok(()) => {
                    self.state.wanted.set(wanted);
                    Poll::Pending
                }
                // Nobody was asked, so the next wait asks again.
                Err(error) => Poll::Ready(Err(error)),
            }
        })
    }
    // ANCHOR_END: until
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        if let Some(ioloop) = IoLoop::upgrade(&self.ioloop) {
            ioloop.remove_handler(self.token);
        }
    }
}
