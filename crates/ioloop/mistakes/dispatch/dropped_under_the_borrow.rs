//! Mistake: a handler that was removed is dropped while the table is borrowed.
//! Caught by: what_it_holds_may_call_the_loop_when_it_is_dropped
//! Message: it is dropped while the table is borrowed

use crate::failure::guarded;
use crate::{Failure, IoLoop, Origin, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    // Its place stays its own meanwhile, so that it can be changed and removed from inside.
    let found = handlers.borrow_mut().get_mut(token).map(|handler| (handler.fd, handler.run.take()));
    let Some((fd, Some(mut run))) = found else { return ioloop.reached_nobody() };
    let outcome = guarded(|| run(ioloop, events));
    match handlers.borrow_mut().get_mut(token) {
        Some(handler) => handler.run = Some(run),
        None => drop(run),
    }
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
