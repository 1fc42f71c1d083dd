//! Mistake: it is reported what goes wrong in those that have a place still.
//! Caught by: one_that_removes_itself_and_fails_is_reported
//! Message: what went wrong is no less wrong

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
    // Back in its place, if it has that still; else it is dropped, with its source, now that it has come back. Not
    // under the borrow: what it holds may call the loop when it goes.
    let homeless = match handlers.borrow_mut().get_mut(token) {
        Some(handler) => handler.run.replace(run),
        None => Some(run),
    };
    if homeless.is_some() {
        return;
    }
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
