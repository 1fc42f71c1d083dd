//! Another right answer: a value in each poll notices its panic, without `catch_unwind` around the poll, and each leftover has a
//! guard of its own.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use crate::failure::drop_caught;
use crate::{Failure, IoLoop, NoResult, Origin};

type Slot<T> = Rc<Cell<Option<Result<T, NoResult>>>>;

fn first<T>(slot: &Slot<T>, end: Result<T, NoResult>, ioloop: &IoLoop) {
    match slot.take() {
        Some(earlier) => slot.set(Some(earlier)),
        None => {
            slot.set(Some(end));
            ioloop.stop();
        }
    }
}

/// Made for each poll, and forgotten after it: only a panic of the operation drops it.
struct OnPanic<'a, T> {
    slot: &'a Slot<T>,
    ioloop: &'a IoLoop,
}

impl<T> Drop for OnPanic<'_, T> {
    fn drop(&mut self) {
        first(self.slot, Err(NoResult::Panicked), self.ioloop);
    }
}

struct Defer<F: FnMut()>(F);

impl<F: FnMut()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl IoLoop {
    /// Run the loop until `future` is done, for at most `timeout`.
    ///
    /// # Errors
    /// [`NoResult`].
    pub fn run_sync<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
        timeout: Option<Duration>,
    ) -> Result<T, NoResult> {
        let slot = Slot::<T>::default();
        let timer = timeout.map(|time| {
            let slot = Rc::clone(&slot);
            self.call_later(time, move |ioloop| first(&slot, Err(NoResult::Timeout(time)), ioloop))
        });
        let no_timer = Defer(|| timer.into_iter().for_each(|timer| self.remove_timeout(timer)));
        let (its, ioloop, mut future) = (Rc::clone(&slot), self.clone(), Box::pin(future));
        let task = self.spawn(poll_fn(move |context| {
            let guard = OnPanic { slot: &its, ioloop: &ioloop };
            let polled = future.as_mut().poll(context);
            mem::forget(guard);
            polled.map(|output| first(&its, Ok(output), &ioloop))
        }));
        let unwinds = Cell::new(true);
        let no_task = Defer(|| {
            let dropped = drop_caught(Defer(|| self.cancel(task)));
            if unwinds.get() {
                mem::forget(dropped);
                mem::forget(drop_caught(slot.take()));
            } else if let Err(cause) = dropped {
                self.report(Failure { origin: Origin::Task, cause });
            }
        });
        let started = self.start();
        unwinds.set(false);
        drop((no_task, no_timer));
        match started {
            Ok(()) => slot.take().unwrap_or(Err(NoResult::Stopped)),
            Err(error) => Err(NoResult::Loop(error)),
        }
    }
}
