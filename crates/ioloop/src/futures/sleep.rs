//! A time that operations wait for, in place of a timer.
//!
//! Contract: a sleep has one timer at most, however often it is polled, and none after it is dropped. The clock is read when
//! the sleep is made, and not when it is polled: the timer says when the time is over.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::IoLoop;
use crate::run_loop::WeakLoop;
use crate::timers::TimerId;

impl IoLoop {
    /// Wait for so long, by the loop's clock. No time at all is over at the first poll.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let state = Rc::new(State { over: Cell::new(time.is_zero()), waker: Cell::default() });
        let deadline = self.time().saturating_add(time);
        Sleep { ioloop: self.downgrade(), deadline, timer: None, state }
    }
}

/// Is done at a time.
pub struct Sleep {
    ioloop: WeakLoop,
    deadline: Duration,
    timer: Option<TimerId>,
    state: Rc<State>,
}

/// What the sleep and its timer share.
struct State {
    over: Cell<bool>,
    /// The newest: the task that polls the sleep may be another than last time.
    waker: Cell<Option<Waker>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.over.get() {
            return Poll::Ready(());
        }
        self.state.waker.set(Some(context.waker().clone()));
        // Without its loop, nothing polls it again.
        if self.timer.is_none()
            && let Some(ioloop) = self.ioloop.upgrade()
        {
            let state = Rc::clone(&self.state);
            let timer = ioloop.call_at(self.deadline, move |_| {
                state.over.set(true);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            });
            self.timer = Some(timer);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.state.over.get()
            && let (Some(timer), Some(ioloop)) = (self.timer, self.ioloop.upgrade())
        {
            ioloop.remove_timeout(timer);
        }
    }
}
