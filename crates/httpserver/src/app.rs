//! The application: what answers requests.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use ioloop::IoLoop;

use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Answers requests. A closure that takes what [`App::handle`] takes is one.
pub trait App: 'static {
    /// Called when the head of a request is complete, and before its body is read: says how long the body may be, in bytes,
    /// or answers at once (413, 417, 405 and so on). `limit` is [`Limits::body`](crate::Limits::body). Not called for a request
    /// without a body.
    ///
    /// # Errors
    /// The answer, after which the connection is closed, because the client may be sending the body already.
    fn admit(&self, head: &Request, limit: u64) -> Result<u64, Response> {
        let _ = head;
        Ok(limit)
    }

    /// Answer a request with `reply`, now or later. A panic is a 500 for this request alone, and is reported by the loop.
    fn handle(&self, ioloop: &IoLoop, request: &Request, reply: Reply);
}

impl<F: Fn(&IoLoop, &Request, Reply) + 'static> App for F {
    fn handle(&self, ioloop: &IoLoop, request: &Request, reply: Reply) {
        self(ioloop, request, reply);
    }
}

/// Call code of the application. If it panics, the loop reports that like any failure, and this returns none.
pub(crate) fn caught<T>(ioloop: &IoLoop, call: impl FnOnce() -> T) -> Option<T> {
    let called = catch_unwind(AssertUnwindSafe(call));
    called.map_err(|thrown| ioloop.add_callback(move |_| -> () { resume_unwind(thrown) })).ok()
}
