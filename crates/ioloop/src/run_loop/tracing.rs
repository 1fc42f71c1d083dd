//! Who sees each dispatch: what ran, for how long, and what the compiler calls it.
//!
//! Contract: without a tracer nothing is measured. A tracer sees a dispatch when it is over, also when it panicked.

use std::any::type_name;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;

use super::{IoLoop, Subscription, Tracer, WeakLoop};
use crate::{Dispatch, Origin, Token};

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

/// The same future, whose polls the tracers see.
pub(super) async fn traced<F: Future>(ioloop: WeakLoop, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| match ioloop.upgrade() {
        Some(ioloop) => ioloop.traced::<F, _>(Origin::Task, None, || future.as_mut().poll(context)),
        None => future.as_mut().poll(context),
    })
    .await
}
