//! A future that is done at a deadline.
//!
//! Contract: a sleep has at most one timer, however often it is polled, and none after it is dropped. Making a sleep
//! reads the clock; polling it does not, because its timer sets a flag when the time is over.

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
    /// A future that is done after `time`, by the loop's clock. The time counts from this call, not from the first poll. A
    /// `time` of zero is over at the first poll.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let state = Rc::new(State { over: Cell::new(time.is_zero()), waker: Cell::default() });
        let deadline = self.time().saturating_add(time);
        Sleep { ioloop: self.downgrade(), deadline, timer: None, state }
    }
}

/// A future that is done at a deadline: see [`IoLoop::sleep`].
pub struct Sleep {
    ioloop: WeakLoop,
    deadline: Duration,
    timer: Option<TimerId>,
    state: Rc<State>,
}

/// The state that a sleep shares with its timer.
struct State {
    over: Cell<bool>,
    /// The waker of the last poll: another task may have polled it before.
    waker: Cell<Option<Waker>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.over.get() {
            return Poll::Ready(());
        }
        self.state.waker.set(Some(context.waker().clone()));
        // If the loop was dropped, nothing polls this again.
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
