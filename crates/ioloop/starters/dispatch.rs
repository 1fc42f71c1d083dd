//! Exercise `ioloop/dispatch`: running the handler of a ready descriptor.
//!
//! Goal: an event reaches the handler that its token leads to, or nothing. A handler may do anything with the loop: add
//! handlers, change and remove others, remove itself, close the loop. A handler that removes itself is not dropped before it
//! has returned, and its source stays open until then. What goes wrong in a handler is reported, and the handler runs again at
//! its next event.
//!
//! What there is: `ioloop.0.registry`, in a RefCell, whose `get(token)` gives the descriptor and a reference to the handler;
//! a handler is an `Rc<RefCell<dyn FnMut(&IoLoop, Event) -> Outcome>>`. `crate::failure::guarded` runs something and catches a
//! panic. `ioloop.handler_failed(token, fd, cause)` reports what went wrong. `ioloop.not_open(token, fd)` is for an event with
//! `Events::INVALID`, which poll(2) reports for a number that is not open anymore.
//! Run `cargo run -p workbook check ioloop/dispatch` after each change; `hint ioloop/dispatch` if you are stuck.

use super::IoLoop;
use crate::Event;

/// Run the handler of this event, if it still has one.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let _ = ioloop;
    todo!("run the handler of {event:?}: write `dispatch` in exercises/dispatch.rs")
}
