//! Exercise `ioloop/dispatch`: run the handler of a ready descriptor.
//!
//! Goal: an event reaches the handler that its token leads to, with all that the poller reported, or nothing, which is no
//! failure. While a handler runs, it keeps its slot and its token, and may do anything with the loop: add handlers, change
//! and remove others and itself, close the loop. A handler that removes itself is not dropped before it has returned, and its
//! source stays open until then. It is dropped before the next event is dispatched, when nothing of the loop is borrowed. An
//! error or a panic of a handler is reported, even if the handler has removed itself or closed the loop, and a handler that
//! failed runs again at its next event. A value of the handler may panic when it is dropped: that is reported, too, after the
//! handler's own failure. Nothing is borrowed while a failure is reported, because the hook may add and remove handlers; a
//! panic of the hook leaves the loop.
//!
//! Given: `ioloop.0.registry`, in a RefCell, whose `get(token)` returns the descriptor and a reference to the handler;
//! a handler is an `Rc<RefCell<dyn FnMut(&IoLoop, Event) -> Outcome>>`. Of `crate::failure`, `guarded` calls a closure
//! and catches a panic, and `drop_caught` drops a value and catches a panic of the drop. `ioloop.handler_failed(token,
//! fd, cause)` reports a failure. `ioloop.not_open(token, fd)` is for an event with `crate::Events::INVALID`, which
//! poll(2) reports for a descriptor that was closed: it removes the handler. An `Event` has a `token`, and its
//! `events`. Run `cargo workbook check ioloop/dispatch` after each change; `hint ioloop/dispatch` if you are stuck.

use super::IoLoop;
use crate::Event;

/// Run the handler of `event`, if it was not removed.
pub(super) fn dispatch(ioloop: &IoLoop, event: Event) {
    let _ = ioloop;
    todo!("run the handler of {event:?}: write `dispatch` in exercises/dispatch.rs")
}
