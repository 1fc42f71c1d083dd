//! Running the handler of a ready descriptor, whatever it does: it may remove itself and others, and close the loop.
//!
//! Contract: an event reaches the handler that its token leads to, or nothing. While a handler runs, nothing of the loop
//! is borrowed. If it is removed meanwhile, it is dropped when it has returned, and its source is closed then. What goes
//! wrong in it is reported, and it stays registered.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::guarded;
use crate::{Event, Events};

/// Run the handler of this event, if it still has one.
// ANCHOR: dispatch
#[inline]
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    // Held here too: if it is removed meanwhile, it is dropped after its code has returned.
    let found = ioloop.0.registry.borrow().get(event.token).map(|(fd, handler)| (fd, Rc::clone(handler)));
    let Some((fd, handler)) = found else { return };
    if event.events.contains(Events::INVALID) {
        return ioloop.not_open(event.token, fd);
    }
    let outcome = guarded(|| (handler.borrow_mut())(ioloop, event));
    drop(handler);
    if let Err(cause) = outcome {
        ioloop.handler_failed(event.token, fd, cause);
    }
}
// ANCHOR_END: dispatch
