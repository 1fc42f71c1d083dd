//! Mistake: the handler stays in its place while it runs, and is dropped there when it removes itself.
//! Caught by: one_that_removes_itself_is_dropped_when_it_has_come_back
//! Message: a box that is dropped while the code in it runs is gone under its feet

use crate::failure::guarded;
use crate::{Failure, IoLoop, Origin, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    let found = handlers.borrow_mut().get_mut(token).map(|handler| (handler.fd, &raw mut handler.run));
    let Some((fd, place)) = found else { return ioloop.reached_nobody() };
    // The borrow checker does not know that the table keeps it.
    // SAFETY: it was found in the table just now. (And while it runs?)
    let Some(run) = (unsafe { &mut *place }) else { return ioloop.reached_nobody() };
    let outcome = guarded(|| run(ioloop, events));
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
