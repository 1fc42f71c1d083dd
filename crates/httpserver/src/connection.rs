//! One HTTP connection, without I/O: received bytes become requests, and responses become bytes to send.
//!
//! Contract: requests are answered one after the other, so their responses are in order however many were sent ahead. The result
//! does not depend on how the received bytes were split. Where a request ends is certain, or the request is refused; after a
//! refusal, or a response that says `Connection: close`, nothing further is read. A response never has a byte more or less
//! than its head announces.

use std::mem;
use std::rc::Rc;

use crate::body::{Incoming, Outgoing};
use crate::encode::{self, Announced, may_have_body};
use crate::framing::{self, Framing};
use crate::head::Scan;
use crate::input::Input;
use crate::limits::Limits;
use crate::persistence::{expects_continue, wants_another};
use crate::phase::{Next, Phase};
use crate::refusal::Refusal;
use crate::request::{Request, Version};
use crate::response::Response;

// ANCHOR: connection
/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    limits: Rc<Limits>,
    input: Input,
    /// The client has shut down its side.
    is_ended: bool,
    phase: Phase,
    scan: Scan,
    /// Where the body ends that follows the head.
    framing: Framing,
    body: Incoming,
    /// How the body of the response under way is sent.
    outgoing: Outgoing,
    is_head: bool,
    version: Version,
    /// The client waits for 100 Continue before it sends the body.
    is_waiting: bool,
    /// Another request may follow this one.
    is_persistent: bool,
}
// ANCHOR_END: connection

// ANCHOR: requests
impl Connection {
    /// A connection that has received nothing.
    pub fn new(limits: Rc<Limits>) -> Self {
        Self {
            limits,
            input: Input::default(),
            is_ended: false,
            phase: Phase::Head,
            scan: Scan::default(),
            framing: Framing::Length(0),
            body: Incoming::Length(0),
            outgoing: Outgoing::Nothing,
            is_head: false,
            version: Version::Http11,
            is_waiting: false,
            is_persistent: true,
        }
    }

    /// The client sent these bytes. They are dropped if the last response is complete.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Done {
            self.input.push(bytes);
        }
    }

    /// The client has shut down its side. It may still be waiting for responses.
    pub fn receive_end(&mut self) {
        self.is_ended = true;
    }

    /// Read on, and say what is needed next. `request` gets the request; pass the same one until it is complete.
    pub fn next(&mut self, request: &mut Request) -> Next {
        let next = match self.phase {
            Phase::Head => self.read_head(request),
            Phase::Body => self.read_body(request),
            Phase::Admission => Ok(Next::Head),
            Phase::Owed | Phase::Streaming => Ok(Next::More),
            Phase::Done => Ok(Next::Done),
        };
        next.unwrap_or_else(|refusal| {
            self.refuse();
            Next::Refused(refusal)
        })
    }

    /// A response is owed, and is the last.
    pub fn refuse(&mut self) {
        self.phase = Phase::Owed;
        self.is_persistent = false;
    }

    fn read_head(&mut self, request: &mut Request) -> Result<Next, Refusal> {
        let received = self.input.rest();
        // Set before the head is read, because a refusal of HEAD has no body either. A client may send one empty line first.
        self.is_head = received.strip_prefix(b"\r\n").unwrap_or(received).starts_with(b"HEAD ");
        let Some(end) = self.scan.read(received, request, &self.limits)? else {
            return match (self.is_ended, self.is_idle()) {
                (false, _) => Ok(Next::More),
                (true, false) => Err(Refusal::bad("The request is incomplete.")),
                (true, true) => {
                    self.phase = Phase::Done;
                    Ok(Next::Done)
                }
            };
        };
        self.version = request.version();
        self.input.consume(end);
        self.framing = framing::of(request)?;
        self.is_persistent &= wants_another(request);
        self.is_waiting = expects_continue(request)?;
        if self.framing == Framing::Length(0) {
            self.phase = Phase::Owed;
            return Ok(Next::Request);
        }
        self.phase = Phase::Admission;
        Ok(Next::Head)
    }

    /// Read a body of at most `limit` bytes. A client that waits for it gets 100 Continue.
    ///
    /// # Errors
    /// 413 if the body is longer, as far as that is known.
    pub fn admit(&mut self, limit: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.body = Incoming::new(self.framing, limit).inspect_err(|_| self.refuse())?;
        self.phase = Phase::Body;
        if mem::take(&mut self.is_waiting) {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(())
    }

    fn read_body(&mut self, request: &mut Request) -> Result<Next, Refusal> {
        let (taken, is_complete) = self.body.read(self.input.rest(), request, &self.limits)?;
        self.input.consume(taken);
        if is_complete {
            self.phase = Phase::Owed;
            return Ok(Next::Request);
        }
        if self.is_ended { Err(Refusal::bad("The request is incomplete.")) } else { Ok(Next::More) }
    }
}
// ANCHOR_END: requests

// ANCHOR: responses
impl Connection {
    /// Write the head of a response that is sent whole. Returns whether the caller must send its body after that.
    pub fn respond(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) -> bool {
        let has_body = may_have_body(response.status);
        let announced = if has_body { Announced::Length(response.body.len()) } else { Announced::Nothing };
        self.write_head(response, date, announced, out);
        let is_sent = has_body && !self.is_head;
        self.go_on();
        is_sent
    }

    /// Write the head of a response whose body is sent in parts, with [`Connection::write`].
    pub fn start(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) {
        let announced = match (may_have_body(response.status), self.version) {
            (false, _) => Announced::Nothing,
            (true, Version::Http11) => Announced::Chunked,
            (true, Version::Http10) => {
                self.is_persistent = false;
                Announced::Nothing
            }
        };
        self.outgoing = match announced {
            _ if self.is_head || !may_have_body(response.status) => Outgoing::Nothing,
            Announced::Chunked => Outgoing::Chunked,
            _ => Outgoing::UntilClose,
        };
        self.write_head(response, date, announced, out);
        self.phase = Phase::Streaming;
    }

    /// Write a part of the body.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        self.outgoing.write(bytes, out);
    }

    /// End the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.outgoing.end(out);
        self.go_on();
    }

    fn write_head(&mut self, response: &Response, date: &str, announced: Announced, out: &mut Vec<u8>) {
        // In another phase, a body was not admitted. The next bytes may be that body or the next request.
        self.is_persistent &= !response.closes && self.phase == Phase::Owed;
        let connection = match (self.is_persistent, self.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        encode::head(response, date, announced, connection, out);
    }

    /// The response is complete.
    fn go_on(&mut self) {
        // The next request may be refused before its method and its version are known.
        (self.version, self.is_head) = (Version::Http11, false);
        self.phase = if self.is_persistent { Phase::Head } else { Phase::Done };
        if self.phase == Phase::Done {
            self.input = Input::default();
        }
    }

    /// The next response is the last, and says so if its head is not written yet.
    pub fn close_after(&mut self) {
        self.is_persistent = false;
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Does it wait for a request of which it has no byte? An empty line before a request is no byte of it.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && matches!(self.input.rest(), b"" | b"\r\n")
    }

    /// How many bytes were received and not read.
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Has the client shut down its side?
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }
}
// ANCHOR_END: responses
