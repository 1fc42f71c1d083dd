//! Mistake: the handler is taken out of the table while it runs, and registered anew afterwards.
//! Caught by: its_token_is_the_same_after_it_ran
//! Message: and has lost its place

use crate::failure::guarded;
use crate::{Failure, IoLoop, Origin, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    let found = handlers.borrow_mut().remove(token);
    let Some(mut handler) = found else { return ioloop.reached_nobody() };
    let fd = handler.fd;
    let Some(mut run) = handler.run.take() else { return ioloop.reached_nobody() };
    let outcome = guarded(|| run(ioloop, events));
    handler.run = Some(run);
    handlers.borrow_mut().insert(handler);
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
