//! What an application answers with: a [`Reply`] for each request, and a [`Stream`] for a response that is sent in parts.
//!
//! Contract: each request has one reply, which may be used at any time. A reply that is dropped without an answer answers
//! 500. A stream that is dropped is finished.

use std::fmt;
use std::rc::Rc;

use ioloop::IoLoop;

use crate::response::Response;

/// A callback of a stream, called once.
pub(crate) type Notify = Box<dyn FnOnce(&IoLoop)>;

/// What a reply and a stream use of their connection. `number` is the request's: a connection that has gone on ignores the
/// others.
pub(crate) trait Exchange {
    fn respond(self: Rc<Self>, number: u64, response: Response);
    fn start(self: Rc<Self>, number: u64, head: Response);
    fn write(self: Rc<Self>, number: u64, bytes: &[u8]) -> Result<Room, Closed>;
    fn finish(self: Rc<Self>, number: u64);
    fn when_room(self: Rc<Self>, number: u64, notify: Notify);
    fn when_closed(self: Rc<Self>, number: u64, notify: Notify);
    fn is_open(&self, number: u64) -> bool;
}

/// The answer that a request is owed. Dropped without an answer, it is a 500.
pub struct Reply {
    exchange: Option<Rc<dyn Exchange>>,
    number: u64,
}

impl Reply {
    pub(crate) fn new(exchange: Rc<dyn Exchange>, number: u64) -> Self {
        Self { exchange: Some(exchange), number }
    }

    /// Answer. If the client has left, nothing happens.
    pub fn send(mut self, response: Response) {
        if let Some(exchange) = self.exchange.take() {
            exchange.respond(self.number, response);
        }
    }

    /// Begin an answer of unknown length: `head` is sent now, and the body in parts. A body that `head` has is the first part,
    /// unless it is a file, which is left out.
    pub fn stream(mut self, head: Response) -> Stream {
        let exchange = self.exchange.take();
        if let Some(exchange) = &exchange {
            Rc::clone(exchange).start(self.number, head);
        }
        Stream { exchange, number: self.number }
    }

    /// Is the client still there, as far as the server knows?
    pub fn is_open(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_open(self.number))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.respond(self.number, Response::text(500, "The request was not answered.\n"));
        }
    }
}

/// Whether a stream takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Left,
    /// The bytes are queued, but the client takes none at the moment: write more when [`Stream::when_room`] says so.
    Full,
}

/// The error of a write to a client that has left, or that gets no body. Nothing is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has left, or gets no body")
    }
}

impl std::error::Error for Closed {}

/// A response whose body is sent in parts. Dropped, it is finished. Dropped by a panic, it is cut: the connection is closed.
pub struct Stream {
    exchange: Option<Rc<dyn Exchange>>,
    number: u64,
}

impl Stream {
    /// Queue a part, and send what the client takes now. An empty part does nothing.
    ///
    /// # Errors
    /// [`Closed`] if the client has left, if the response has no body, as one to HEAD or a 304, or if the stream was cut by a stop of
    /// the server.
    pub fn write(&self, bytes: &[u8]) -> Result<Room, Closed> {
        self.exchange().ok_or(Closed)?.write(self.number, bytes)
    }

    /// Call `f` once when the stream takes more: in the next iteration, if it does already. A second call replaces the first.
    /// Dropped without a call if the client leaves.
    pub fn when_room(&self, f: impl FnOnce(&IoLoop) + 'static) {
        if let Some(exchange) = self.exchange() {
            exchange.when_room(self.number, Box::new(f));
        }
    }

    /// Call `f` once when nobody may be reading anymore: the client has closed or reset the connection, it has shut down its
    /// own side, which looks the same until something is written, or the server stops. A client that has only shut down
    /// its side still gets what is written. A second call replaces the first.
    pub fn when_closed(&self, f: impl FnOnce(&IoLoop) + 'static) {
        if let Some(exchange) = self.exchange() {
            exchange.when_closed(self.number, Box::new(f));
        }
    }

    /// End the body. The client sees that it is complete.
    pub fn finish(self) {}

    fn exchange(&self) -> Option<Rc<dyn Exchange>> {
        self.exchange.clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.finish(self.number);
        }
    }
}
