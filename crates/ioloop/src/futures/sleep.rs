//! A future that is done at a deadline.
//!
//! Contract: a sleep has one timer at most, however often it is polled, and none after it is dropped. As long as the same task
//! polls it, the timer stays as it is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::IoLoop;
use crate::run_loop::WeakLoop;
use crate::timers::TimerId;

impl IoLoop {
    /// A future that is done after `time`, by the loop's clock. The time counts from this call, not from the first poll. A
    /// `time` of zero is over at the first poll.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let deadline = if time.is_zero() { Duration::ZERO } else { self.time().saturating_add(time) };
        Sleep { ioloop: self.downgrade(), deadline, timer: None }
    }
}

/// Is done at a time.
// ANCHOR: sleep
pub struct Sleep {
    ioloop: WeakLoop,
    deadline: Duration,
    /// Its timer, and the waker of the task that the timer wakes.
    timer: Option<(TimerId, Waker)>,
}
// ANCHOR_END: sleep

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Without its loop, nothing polls it again.
        let Some(ioloop) = self.ioloop.upgrade() else { return Poll::Pending };
        // At the first poll the clock is not read: if the time is over by then, the timer is due in the next iteration, and
        // the task is polled in the one after that.
        // If its timer has run, the clock is not read either.
        let is_over = || ioloop.is_past(self.deadline) || ioloop.time() >= self.deadline;
        if self.deadline.is_zero() || self.timer.is_some() && is_over() {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if self.timer.as_ref().is_some_and(|(_, wakes)| wakes.will_wake(waker)) {
            return Poll::Pending;
        }
        if let Some((timer, _)) = self.timer.take() {
            ioloop.remove_timeout(timer);
        }
        let (wakes, waker) = (waker.clone(), waker.clone());
        let timer = ioloop.call_at(self.deadline, move |_| waker.wake());
        self.timer = Some((timer, wakes));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let (Some(ioloop), Some((timer, _))) = (self.ioloop.upgrade(), &self.timer) else { return };
        // Usually the timer has run. To look it up then would be a cache miss.
        if !ioloop.is_past(self.deadline) {
            ioloop.remove_timeout(*timer);
        }
    }
}
