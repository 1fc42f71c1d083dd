//! Mistake: a panic is not caught.
//! Caught by: one_that_fails_runs_again_and_is_reported_each_time
//! Message: a panic in a handler has come out of the loop

use crate::{Cause, Failure, IoLoop, Origin, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    // Its place stays its own meanwhile, so that it can be changed and removed from inside.
    let found = handlers.borrow_mut().get_mut(token).map(|handler| (handler.fd, handler.run.take()));
    let Some((fd, Some(mut run))) = found else { return ioloop.reached_nobody() };
    let outcome = run(ioloop, events).map_err(Cause::Error);
    // Back in its place, if it has that still; else it is dropped, with its source, now that it has come back. Not
    // under the borrow: what it holds may call the loop when it goes.
    let homeless = match handlers.borrow_mut().get_mut(token) {
        Some(handler) => handler.run.replace(run),
        None => Some(run),
    };
    drop(homeless);
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
