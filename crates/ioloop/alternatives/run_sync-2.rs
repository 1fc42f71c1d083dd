//! Another right answer: a future by hand around a boxed one, an enum for what has happened, and no guard: the unwinding of
//! `start` is caught and goes on when all is cleaned up.

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::failure::{drop_caught, guarded};
use crate::{Failure, IoLoop, NoResult, Origin};

enum State<T> {
    Running,
    Done(T),
    TimedOut,
    Panicked,
}

struct Operation<T> {
    inner: Pin<Box<dyn Future<Output = T>>>,
    state: Rc<RefCell<State<T>>>,
    ioloop: IoLoop,
}

impl<T> Unpin for Operation<T> {}

fn finish<T>(state: &RefCell<State<T>>, ioloop: &IoLoop, new: State<T>) {
    let late = {
        let mut state = state.borrow_mut();
        if matches!(*state, State::Running) {
            *state = new;
            ioloop.stop();
            None
        } else {
            Some(new)
        }
    };
    drop(late);
}

impl<T> Future for Operation<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match catch_unwind(AssertUnwindSafe(|| this.inner.as_mut().poll(context))) {
            Ok(polled) => polled.map(|output| finish(&this.state, &this.ioloop, State::Done(output))),
            Err(thrown) => {
                finish(&this.state, &this.ioloop, State::Panicked);
                panic::resume_unwind(thrown)
            }
        }
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
        let state = Rc::new(RefCell::new(State::Running));
        let operation = Operation { inner: Box::pin(future), state: Rc::clone(&state), ioloop: self.clone() };
        let task = self.spawn(operation);
        let over = Rc::clone(&state);
        let timer =
            timeout.map(|time| self.call_later(time, move |ioloop| finish(&over, ioloop, State::TimedOut)));
        let started = catch_unwind(AssertUnwindSafe(|| self.start()));
        if let Some(timer) = timer {
            self.remove_timeout(timer);
        }
        let canceled = guarded(|| {
            self.cancel(task);
            Ok(())
        });
        let came_to = state.replace(State::Running);
        let started = match started {
            Ok(started) => started,
            Err(thrown) => {
                mem::forget((canceled, drop_caught(came_to)));
                panic::resume_unwind(thrown)
            }
        };
        if let Err(cause) = canceled {
            self.report(Failure { origin: Origin::Task, cause });
        }
        started?;
        match came_to {
            State::Running => Err(NoResult::Stopped),
            State::Done(output) => Ok(output),
            State::TimedOut => Err(NoResult::Timeout(timeout.unwrap_or_default())),
            State::Panicked => Err(NoResult::Panicked),
        }
    }
}
