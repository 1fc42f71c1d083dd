//! Another way for `ioloop/run_sync`: a future around the future catches its panics, and a state says how far it is.

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
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
    inner: Option<Pin<Box<dyn Future<Output = T>>>>,
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(()) };
        match panic::catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                finish(&this.state, &this.ioloop, State::Done(output));
                this.inner = None;
                Poll::Ready(())
            }
            Err(payload) => {
                finish(&this.state, &this.ioloop, State::Panicked);
                this.inner = None;
                panic::resume_unwind(payload)
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
        let task = self.spawn(Operation {
            inner: Some(Box::pin(future)),
            state: Rc::clone(&state),
            ioloop: self.clone(),
        });
        let timer = timeout.map(|timeout| {
            let state = Rc::clone(&state);
            self.call_later(timeout, move |ioloop| finish(&state, ioloop, State::TimedOut))
        });
        let started = panic::catch_unwind(AssertUnwindSafe(|| self.start()));
        if let Some(timer) = timer {
            self.remove_timeout(timer);
        }
        let canceled = guarded(|| {
            self.cancel(task);
            Ok(())
        });
        if let Err(payload) = started {
            // What these have caught may panic when it is dropped.
            mem::forget((canceled, drop_caught(state.replace(State::Running))));
            panic::resume_unwind(payload);
        }
        if let Err(cause) = canceled {
            self.report(Failure { origin: Origin::Task, cause });
        }
        match started.unwrap_or(Ok(())) {
            Err(error) => Err(NoResult::Loop(error)),
            Ok(()) => match state.replace(State::Running) {
                State::Running => Err(NoResult::Stopped),
                State::Done(output) => Ok(output),
                State::TimedOut => Err(NoResult::Timeout(timeout.unwrap_or_default())),
                State::Panicked => Err(NoResult::Panicked),
            },
        }
    }
}
