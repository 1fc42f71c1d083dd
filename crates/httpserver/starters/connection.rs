//! Exercise `httpserver/connection`: one HTTP connection, without I/O. Received bytes become requests, and responses become bytes
//! to send.
//!
//! Goal: `next` reads what was received and says what is needed; the result does not depend on how the bytes were split, and a
//! head is read in linear time, in however many pieces it arrives. Requests are answered one after the other: while a response is
//! owed or streamed, nothing further is read. A request is refused if its head, its framing or its body is malformed, or if the
//! client ends within it (400): `next` returns the refusal, whose response is the last. After the last response nothing is read
//! and nothing is kept. The last is one to a client that asked for `close` or speaks HTTP/1.0 without `keep-alive`, one that
//! itself closes, one whose request had a body that was not admitted, and one in parts to HTTP/1.0 whose status permits a body,
//! because only the end of the connection ends that body. Its head says `Connection: close`; one to HTTP/1.0 that is not the
//! last says `keep-alive`. After `refuse`, at any time, and after an error of `admit`, a response is owed, and it is the last.
//! `close_after` makes the last one of the response under way, or else of the next. A client that shut down its side, at any
//! time, still gets its responses to what is complete.
//!
//! `admit` lets a body of at most `limit` bytes be read, and writes `100 Continue` if the client waits for it. Until then, `next`
//! returns `Next::Head` at each call. Responses to HEAD, 204 and 304 have no body, whole or in parts, HEAD has the same fields as
//! GET, and 204 and 304 do not say a length. A HEAD may follow an empty line, no other method is HEAD, and a HEAD that is refused
//! before its head is complete is one. Parts are chunks, but not to HTTP/1.0, even if its request was refused after its head was
//! read. What a request asked for ends with its response.
//! These modules do the rest: `head` finds and reads heads, `framing` and `persistence` interpret them, `body` reads and writes
//! bodies, `encode` writes heads, `input` is a buffer. Run `cargo workbook check connection` after each change;
//! `hint connection` if you are stuck.

use std::rc::Rc;

use crate::limits::Limits;
use crate::phase::{Next, Phase};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::Response;

/// The state of a connection. What must it keep?
#[derive(Debug)]
pub struct Connection {}

impl Connection {
    /// A connection that has received nothing.
    pub fn new(limits: Rc<Limits>) -> Self {
        todo!("within {limits:?}: write `new` in exercises/connection.rs")
    }

    /// The client sent these bytes. They are dropped if the last response is complete.
    pub fn receive(&mut self, bytes: &[u8]) {
        todo!("keep {} bytes: write `receive` in exercises/connection.rs", bytes.len())
    }

    /// The client has shut down its side. It may still be waiting for responses.
    pub fn receive_end(&mut self) {
        todo!("write `receive_end` in exercises/connection.rs")
    }

    /// Read on, and say what is needed next. `request` gets the request; pass the same one until it is complete.
    pub fn next(&mut self, request: &mut Request) -> Next {
        todo!("read into {request:?}: write `next` in exercises/connection.rs")
    }

    /// A response is owed, and is the last.
    pub fn refuse(&mut self) {
        todo!("write `refuse` in exercises/connection.rs")
    }

    /// Read a body of at most `limit` bytes. A client that waits for it gets 100 Continue.
    ///
    /// # Errors
    /// 413 if the body is longer, as far as that is known.
    pub fn admit(&mut self, limit: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        todo!("{limit} bytes, behind {} others: write `admit` in exercises/connection.rs", out.len())
    }

    /// Write the head of a response that is sent whole. Returns whether the caller must send its body after that.
    pub fn respond(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) -> bool {
        todo!("{response:?}, {date}, {}: write `respond` in exercises/connection.rs", out.len())
    }

    /// Write the head of a response whose body is sent in parts, with [`Connection::write`].
    pub fn start(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) {
        todo!("{response:?}, {date}, {}: write `start` in exercises/connection.rs", out.len())
    }

    /// Write a part of the body.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        todo!("{} bytes, behind {} others: write `write` in exercises/connection.rs", bytes.len(), out.len())
    }

    /// End the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        todo!("behind {} bytes: write `finish` in exercises/connection.rs", out.len())
    }

    /// The next response is the last, and says so if its head is not written yet.
    pub fn close_after(&mut self) {
        todo!("write `close_after` in exercises/connection.rs")
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        todo!("write `phase` in exercises/connection.rs")
    }

    /// Does it wait for a request of which it has no byte? An empty line before a request is no byte of it.
    pub fn is_idle(&self) -> bool {
        todo!("write `is_idle` in exercises/connection.rs")
    }

    /// How many bytes were received and not read.
    pub fn buffered(&self) -> usize {
        todo!("write `buffered` in exercises/connection.rs")
    }

    /// Has the client shut down its side?
    pub fn is_ended(&self) -> bool {
        todo!("write `is_ended` in exercises/connection.rs")
    }
}
