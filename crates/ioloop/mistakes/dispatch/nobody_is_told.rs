//! Mistake: what goes wrong is caught, and forgotten.
//! Caught by: one_that_fails_runs_again_and_is_reported_each_time
//! Message: two reports, and it stays where it is

use crate::failure::guarded;
use crate::{IoLoop, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let Ready { token, events } = ready;
    let handlers = &ioloop.0.handlers;
    // Its place stays its own meanwhile, so that it can be changed and removed from inside.
    let found = handlers.borrow_mut().get_mut(token).map(|handler| handler.run.take());
    let Some(Some(mut run)) = found else { return ioloop.reached_nobody() };
    let _ = guarded(|| run(ioloop, events));
    // Back in its place, if it has that still; else it is dropped, with its source, now that it has come back. Not
    // under the borrow: what it holds may call the loop when it goes.
    let homeless = match handlers.borrow_mut().get_mut(token) {
        Some(handler) => handler.run.replace(run),
        None => Some(run),
    };
    drop(homeless);
}
