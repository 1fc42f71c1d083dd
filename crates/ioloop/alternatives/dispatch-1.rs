//! Another right answer: the borrow ends with a block, and the failures of the call and of the drop are reported together, after
//! both.

use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Event, Events};

/// Run the handler of `event`, if it was not removed.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let (fd, handler) = {
        let registry = ioloop.0.registry.borrow();
        match registry.get(event.token) {
            Some((fd, handler)) => (fd, Rc::clone(handler)),
            None => return,
        }
    };
    let ran = if event.events.contains(Events::INVALID) {
        ioloop.not_open(event.token, fd);
        Ok(())
    } else {
        guarded(|| {
            let mut function = handler.borrow_mut();
            function(ioloop, event)
        })
    };
    let dropped = drop_caught(handler);
    for cause in [ran, dropped].into_iter().filter_map(Result::err) {
        ioloop.handler_failed(event.token, fd, cause);
    }
}
