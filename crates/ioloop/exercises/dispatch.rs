//! Exercise `ioloop/dispatch`: an event has come, and its handler is to run.
//!
//! Goal: an event reaches the handler that its token leads to, or nobody. A handler may do anything with the loop: add
//! others, watch for something else, remove others, remove itself, close it. One that removes itself is not dropped
//! before it has come back, and its source stays open until then. What goes wrong in it is reported, and at the next
//! event it runs again.
//!
//! What there is: `ioloop.0.handlers`, the table in a RefCell, whose `get_mut` leads to a `Handler` with its `fd` and its
//! `run` (src/watching.rs); `crate::failure::guarded` runs something and catches a panic; `ioloop.reached_nobody()` is for
//! an event that nobody hears of, and `ioloop.handler_failed()` for a `Failure` of a handler that is back in its place, if
//! it has one. Origin and cause of one are in src/failure.rs.
//! Run `cargo run -p workbook check ioloop/dispatch` after each change; `hint ioloop/dispatch` if you are stuck.

use crate::{IoLoop, Ready};

/// Run the handler of this event, if it has one still.
pub(crate) fn dispatch(ioloop: &IoLoop, ready: Ready) {
    let _ = ioloop;
    todo!("run the handler of {ready:?}: write `dispatch` in exercises/dispatch.rs")
}
