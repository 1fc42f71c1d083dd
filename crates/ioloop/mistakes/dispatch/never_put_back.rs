//! Mistake: a handler that ran is not put back.
//! Caught by: a_handler_runs_at_each_event
//! Message: is a handler that ran back in its place?

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
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
