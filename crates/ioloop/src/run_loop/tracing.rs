//! Who sees each dispatch: what ran, for how long, and what the compiler calls it.
//!
//! Contract: without a tracer nothing is measured. A tracer sees a dispatch when it is over, also when it panicked.

use std::any::type_name;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{IoLoop, Subscription, Tracer, WeakLoop};
use crate::{Dispatch, IntoOutcome, Origin, Outcome, Token};

impl IoLoop {
    /// Let `tracer` see each callback, timer, handler and poll of a task when it has run, any number of tracers in the order
    /// in which they were added. What a tracer panics with counts as a panic of the code that it sees. A poll of a task is
    /// inside of the callback that polls it: both are seen, the poll first.
    pub fn trace(&self, tracer: impl FnMut(&Self, &Dispatch) + 'static) -> Subscription {
        let tracer: Tracer = Rc::new(RefCell::new(tracer));
        Subscription::Tracer(self.0.tracers.add(tracer))
    }

    /// Run this, which is code of type `F`, and let the tracers see it.
    #[inline]
    pub(super) fn traced<F, R>(&self, origin: Origin, token: Option<Token>, run: impl FnOnce() -> R) -> R {
        if self.0.tracers.is_empty() { run() } else { self.measured(origin, token, type_name::<F>(), run) }
    }

    #[cold]
    fn measured<R>(
        &self,
        origin: Origin,
        token: Option<Token>,
        label: &'static str,
        run: impl FnOnce() -> R,
    ) -> R {
        let start = self.time();
        // A tracer is code of others, which must not run while a panic unwinds.
        let ran = catch_unwind(AssertUnwindSafe(run));
        let dispatch = Dispatch { origin, token, label, start, end: self.time() };
        self.0.tracers.each(|tracer| (tracer.borrow_mut())(self, &dispatch));
        ran.unwrap_or_else(|thrown| resume_unwind(thrown))
    }
}

/// A future as the loop polls it: the tracers see each poll, and what it comes to is an outcome.
///
/// An async block would do the same, and would hold the future twice: as what it captured, and as what it awaits.
pub(super) struct Traced<F> {
    ioloop: WeakLoop,
    future: F,
}

impl<F> Traced<F> {
    pub(super) fn new(ioloop: &IoLoop, future: F) -> Self {
        Self { ioloop: ioloop.downgrade(), future }
    }
}

impl<F: Future<Output: IntoOutcome>> Future for Traced<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let ioloop = self.ioloop.upgrade();
        // SAFETY: the future is pinned with what holds it: nothing moves it out of there, and there is no Drop that might.
        let future = unsafe { self.map_unchecked_mut(|traced| &mut traced.future) };
        let polled = match ioloop {
            Some(ioloop) => ioloop.traced::<F, _>(Origin::Task, None, || future.poll(context)),
            None => future.poll(context),
        };
        polled.map(IntoOutcome::into_outcome)
    }
}
