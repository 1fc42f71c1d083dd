//! Another way for `ioloop/dispatch`: the handler is dropped before anything is reported, and what failed is reported in order.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Event, Events};

/// Runs the handler of an event.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let found = ioloop.0.registry.borrow().get(event.token).map(|(fd, handler)| (fd, Rc::clone(handler)));
    let Some((fd, handler)) = found else { return };
    let mut failures = Vec::new();
    if event.events.contains(Events::INVALID) {
        ioloop.not_open(event.token, fd);
    } else {
        failures.extend(guarded(|| handler.borrow_mut()(ioloop, event)).err());
    }
    failures.extend(drop_caught(handler).err());
    for cause in failures {
        ioloop.handler_failed(event.token, fd, cause);
    }
}
