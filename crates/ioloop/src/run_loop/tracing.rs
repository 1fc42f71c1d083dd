//! Tracing: a tracer gets each dispatch, with what ran, when it began and ended, and the name that the compiler gave it.
//!
//! Contract: without a tracer the loop reads no clock for this. A tracer is called after the dispatch, even if it panicked.

use std::any::type_name;
use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{IoLoop, Subscription, Tracer, WeakLoop};
use crate::failure::drop_caught;
use crate::{Dispatch, IntoOutcome, Origin, Outcome, Token};

impl IoLoop {
    /// Call `tracer` after each callback, timer, handler and poll of a task. Tracers are called in the order in which
    /// they were added. A panic of a tracer counts as a panic of the code that it traces. A callback polls a task, so a
    /// tracer gets both, the poll first. A closed loop drops it.
    pub fn trace(&self, tracer: impl FnMut(&Self, &Dispatch) + 'static) -> Subscription {
        let tracer: Tracer = Rc::new(RefCell::new(tracer));
        let subscription = Subscription::Tracer(self.0.tracers.add(tracer));
        if self.must_be_open("trace").is_err() {
            self.unsubscribe(subscription);
        }
        subscription
    }

    /// Is there a tracer?
    #[inline]
    pub(super) fn is_traced(&self) -> bool {
        !self.0.tracers.is_empty()
    }

    /// Run `run`, which calls code of type `F`, and notify the tracers.
    #[inline]
    pub(super) fn traced<F, R>(&self, origin: Origin, token: Option<Token>, run: impl FnOnce() -> R) -> R {
        if self.is_traced() { self.measured(origin, token, type_name::<F>(), run) } else { run() }
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
        // Caught, because a tracer that panics while another panic unwinds would abort the process.
        let ran = catch_unwind(AssertUnwindSafe(run));
        let dispatch = Dispatch { origin, token, label, start, end: self.time() };
        let traced = catch_unwind(AssertUnwindSafe(|| {
            self.0.tracers.for_each(|tracer| (tracer.borrow_mut())(self, &dispatch));
        }));
        if let Err(thrown) = traced {
            // What the code returned or threw is dropped before the panic of the tracer goes on, and may panic, too.
            mem::forget(drop_caught(ran));
            resume_unwind(thrown);
        }
        ran.unwrap_or_else(|thrown| resume_unwind(thrown))
    }
}

/// The future of a task: notifies the tracers of each poll, and converts its result into an outcome.
///
/// An async block would do the same in twice the room, because it holds the future as a captured value and as an awaited
/// one.
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
        // SAFETY: pinning is structural for `future`: no code moves it out of `Traced`, and `Traced` has no Drop.
        let future = unsafe { self.map_unchecked_mut(|traced| &mut traced.future) };
        let polled = match ioloop {
            Some(ioloop) => ioloop.traced::<F, _>(Origin::Task, None, || future.poll(context)),
            None => future.poll(context),
        };
        polled.map(IntoOutcome::into_outcome)
    }
}
