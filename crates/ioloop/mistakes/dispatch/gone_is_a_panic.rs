//! Mistake: that a handler which ran has a place is taken for granted.
//! Caught by: one_that_removes_itself_is_dropped_when_it_has_come_back
//! Message: a handler that has removed itself comes back to no place: that is no panic

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
    let mut handlers = handlers.borrow_mut();
    handlers.get_mut(token).expect("the place of a handler that ran").run = Some(run);
    drop(handlers);
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
