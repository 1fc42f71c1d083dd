//! Another right answer: a value in the task notices its panic, without `catch_unwind` around the poll, and each leftover has a
//! guard of its own.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use std::{mem, thread};

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

/// In the task: a panic of the operation drops it.
struct OnPanic<T> {
    slot: Slot<T>,
    ioloop: IoLoop,
    /// Set when `run_sync` drops the operation, which may happen while another panic unwinds.
    given_up: Rc<Cell<bool>>,
}

impl<T> Drop for OnPanic<T> {
    fn drop(&mut self) {
        if thread::panicking() && !self.given_up.get() {
            first(&self.slot, Err(NoResult::Panicked), &self.ioloop);
        }
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
        let (slot, given_up): (Slot<T>, Rc<Cell<bool>>) = Default::default();
        let timer = timeout.map(|time| {
            let slot = Rc::clone(&slot);
            self.call_later(time, move |ioloop| first(&slot, Err(NoResult::Timeout(time)), ioloop))
        });
        let no_timer = Defer(|| timer.into_iter().for_each(|timer| self.remove_timeout(timer)));
        let guard = OnPanic { slot: Rc::clone(&slot), ioloop: self.clone(), given_up: Rc::clone(&given_up) };
        let task = self.spawn(async move {
            let guard = guard;
            let output = future.await;
            first(&guard.slot, Ok(output), &guard.ioloop);
        });
        let no_task = Defer(|| {
            given_up.set(true);
            let dropped = drop_caught(Defer(|| self.cancel(task)));
            if thread::panicking() {
                mem::forget(dropped);
                mem::forget(drop_caught(slot.take()));
            } else if let Err(cause) = dropped {
                self.report(Failure { origin: Origin::Task, cause });
            }
        });
        let started = self.start();
        drop((no_task, no_timer));
        match started {
            Ok(()) => slot.take().unwrap_or(Err(NoResult::Stopped)),
            Err(error) => Err(NoResult::Loop(error)),
        }
    }
}
