//! Dispatch: the loop runs the handler of a ready descriptor. The handler may remove itself and others, and close the loop.
//!
//! Contract: an event reaches the handler of its token, or none if that handler was removed. While a handler runs, no
//! field of the loop is borrowed. A handler that is removed while it runs is dropped after it has returned and its failure, if
//! any, was reported; its source is closed then. Errors and panics of a handler are reported, except a broken pipe, and so are
//! panics of the values that are dropped with it. The handler stays registered, unless its descriptor is closed.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Event, Events};

/// Run the handler of `event`, if it was not removed.
// ANCHOR: dispatch
#[inline]
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    // This clone keeps the handler alive if it removes itself. It is dropped at the end, when nothing is borrowed.
    let found = ioloop.0.registry.borrow().get(event.token).map(|(fd, handler)| (fd, Rc::clone(handler)));
    let Some((fd, handler)) = found else { return };
    if event.events.contains(Events::INVALID) {
        ioloop.not_open(event.token, fd);
    } else if let Err(cause) = guarded(|| (handler.borrow_mut())(ioloop, event)) {
        ioloop.handler_failed(event.token, fd, cause);
    }
    // If the handler was removed, this drops it, and the drops of its values are the program's code, too.
    if let Err(cause) = drop_caught(handler) {
        ioloop.handler_failed(event.token, fd, cause);
    }
}
// ANCHOR_END: dispatch
