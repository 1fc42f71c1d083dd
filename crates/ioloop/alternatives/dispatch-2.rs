//! Another right answer: `catch_unwind` of std in place of `guarded`, and a value that drops the handler and reports what came of
//! it.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::IoLoop;
use crate::{Cause, Event, Events, Outcome};

type Callable = Rc<RefCell<dyn FnMut(&IoLoop, Event) -> Outcome>>;

struct Owned<'a> {
    ioloop: &'a IoLoop,
    event: Event,
    fd: RawFd,
    handler: Option<Callable>,
}

impl Owned<'_> {
    fn report(&self, cause: Cause) {
        self.ioloop.handler_failed(self.event.token, self.fd, cause);
    }

    fn call(&self) {
        let Some(handler) = &self.handler else { return };
        match catch_unwind(AssertUnwindSafe(|| handler.borrow_mut()(self.ioloop, self.event))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.report(Cause::Error(error)),
            Err(thrown) => self.report(Cause::Panic(thrown)),
        }
    }

    fn release(mut self) {
        let handler = self.handler.take();
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(move || drop(handler))) {
            self.report(Cause::Panic(thrown));
        }
    }
}

/// Run the handler of `event`, if it was not removed.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let found: Option<(RawFd, Callable)> =
        ioloop.0.registry.borrow().get(event.token).map(|(fd, handler)| (fd, handler.clone()));
    if let Some((fd, handler)) = found {
        let owned = Owned { ioloop, event, fd, handler: Some(handler) };
        match event.events.intersects(Events::INVALID) {
            true => ioloop.not_open(event.token, fd),
            false => owned.call(),
        }
        owned.release();
    }
}
