//! A time that operations wait for, in place of a timer.
//!
//! Contract: a sleep has one timer at most, however often it is polled, and none after it is dropped.

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
    /// Wait for so long, by the loop's clock.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let deadline = self.time().saturating_add(time);
        Sleep { ioloop: self.downgrade(), deadline, timer: None, waker: Rc::default() }
    }
}

/// Is done at a time.
pub struct Sleep {
    ioloop: WeakLoop,
    deadline: Duration,
    timer: Option<TimerId>,
    /// The newest: the task that polls it may be another than last time.
    waker: Rc<Cell<Option<Waker>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Without its loop, nothing polls it again.
        let Some(ioloop) = self.ioloop.upgrade() else { return Poll::Pending };
        if ioloop.time() >= self.deadline {
            return Poll::Ready(());
        }
        self.waker.set(Some(context.waker().clone()));
        if self.timer.is_none() {
            let waker = Rc::clone(&self.waker);
            let timer = ioloop.call_at(self.deadline, move |_| waker.take().map_or((), Waker::wake));
            self.timer = Some(timer);
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(ioloop), Some(timer)) = (self.ioloop.upgrade(), self.timer) {
            ioloop.remove_timeout(timer);
        }
    }
}
