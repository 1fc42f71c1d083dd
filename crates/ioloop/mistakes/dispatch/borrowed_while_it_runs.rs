//! Mistake: the table is borrowed as long as the handler runs.
//! Caught by: it_may_add_change_and_remove_others
//! Message: is the table borrowed while the handler runs?

use crate::failure::guarded;
use crate::{Failure, IoLoop, Origin, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    let mut borrowed = handlers.borrow_mut();
    let found = borrowed.get_mut(token).map(|handler| (handler.fd, handler.run.as_mut()));
    let Some((fd, Some(run))) = found else {
        drop(borrowed);
        return ioloop.reached_nobody();
    };
    let outcome = guarded(|| run(ioloop, events));
    drop(borrowed);
    if let Err(cause) = outcome {
        ioloop.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }
}
