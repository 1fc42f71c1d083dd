//! Another way for `ioloop/dispatch`: the registry is released by hand, and one closure reports.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Event, Events};

/// Runs the handler of an event.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let registry = ioloop.0.registry.borrow();
    let Some((fd, handler)) = registry.get(event.token) else { return };
    let handler = Rc::clone(handler);
    drop(registry);
    let report = |cause| ioloop.handler_failed(event.token, fd, cause);
    if event.events.intersects(Events::INVALID) {
        ioloop.not_open(event.token, fd);
    } else {
        let call = || {
            let mut function = handler.borrow_mut();
            (*function)(ioloop, event)
        };
        guarded(call).unwrap_or_else(report);
    }
    drop_caught(handler).unwrap_or_else(report);
}
