//! Another way for `httpserver/connection`: a ring for the input, and one value for the exchange under way, which is replaced whole
//! when its response is complete.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::body::{Incoming, Outgoing};
use crate::encode::{self, Announced, may_have_body};
use crate::framing::{self, Framing};
use crate::head::Scan;
use crate::limits::Limits;
use crate::persistence::{expects_continue, wants_another};
use crate::phase::{Next, Phase};
use crate::refusal::Refusal;
use crate::request::{Request, Version};
use crate::response::Response;

/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    limits: Rc<Limits>,
    received: VecDeque<u8>,
    has_ended: bool,
    closes: bool,
    /// `None` after the last one.
    exchange: Option<Exchange>,
}

/// A request and its response.
#[derive(Debug)]
struct Exchange {
    at: Phase,
    scan: Scan,
    framing: Framing,
    incoming: Incoming,
    outgoing: Outgoing,
    version: Version,
    asks_for_head: bool,
    asks_to_continue: bool,
}

impl Exchange {
    fn new() -> Self {
        Self {
            at: Phase::Head,
            scan: Scan::default(),
            framing: Framing::Length(0),
            incoming: Incoming::Length(0),
            outgoing: Outgoing::Nothing,
            version: Version::Http11,
            asks_for_head: false,
            asks_to_continue: false,
        }
    }

    /// Read a head from `bytes`. Returns how many were read, and what is next.
    fn read_head(
        &mut self,
        bytes: &[u8],
        request: &mut Request,
        limits: &Limits,
        closes: &mut bool,
    ) -> Result<Option<(usize, Next)>, Refusal> {
        self.asks_for_head = bytes.strip_prefix(b"\r\n").unwrap_or(bytes).starts_with(b"HEAD ");
        let Some(end) = self.scan.read(bytes, request, limits)? else { return Ok(None) };
        self.version = request.version();
        self.framing = framing::of(request)?;
        *closes |= !wants_another(request);
        self.asks_to_continue = expects_continue(request)?;
        let (at, next) = match self.framing {
            Framing::Length(0) => (Phase::Owed, Next::Request),
            _ => (Phase::Admission, Next::Head),
        };
        self.at = at;
        Ok(Some((end, next)))
    }
}

impl Connection {
    /// A connection that has received nothing.
    pub fn new(limits: Rc<Limits>) -> Self {
        let exchange = Some(Exchange::new());
        Self { limits, received: VecDeque::new(), has_ended: false, closes: false, exchange }
    }

    /// The client sent these bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.exchange.is_some() {
            self.received.extend(bytes);
        }
    }

    /// The client has shut down its side.
    pub fn receive_end(&mut self) {
        self.has_ended = true;
    }

    /// Read on.
    pub fn next(&mut self, request: &mut Request) -> Next {
        let read = self.read(request);
        read.unwrap_or_else(|refusal| {
            self.refuse();
            Next::Refused(refusal)
        })
    }

    fn read(&mut self, request: &mut Request) -> Result<Next, Refusal> {
        let Some(exchange) = &mut self.exchange else { return Ok(Next::Done) };
        let bytes = &*self.received.make_contiguous();
        let is_empty = matches!(bytes, b"" | b"\r\n");
        let read = match exchange.at {
            Phase::Head => exchange.read_head(bytes, request, &self.limits, &mut self.closes)?,
            Phase::Body => {
                let (count, is_whole) = exchange.incoming.read(bytes, request, &self.limits)?;
                if is_whole {
                    exchange.at = Phase::Owed;
                }
                Some((count, if is_whole { Next::Request } else { Next::More }))
            }
            Phase::Admission => return Ok(Next::Head),
            Phase::Owed | Phase::Streaming | Phase::Done => return Ok(Next::More),
        };
        let is_between = read.is_none() && is_empty;
        let (count, next) = read.unwrap_or((0, Next::More));
        self.received.drain(..count);
        if self.received.is_empty() {
            self.received.shrink_to(4096);
        }
        match next {
            Next::More if self.has_ended && is_between => {
                self.exchange = None;
                Ok(Next::Done)
            }
            Next::More if self.has_ended => Err(Refusal::bad("The request is incomplete.")),
            next => Ok(next),
        }
    }

    /// A response is owed, and is the last.
    pub fn refuse(&mut self) {
        self.closes = true;
        self.exchange.get_or_insert_with(Exchange::new).at = Phase::Owed;
    }

    /// Read a body of at most `limit` bytes.
    pub fn admit(&mut self, limit: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        match Incoming::new(exchange.framing, limit) {
            Ok(incoming) => exchange.incoming = incoming,
            Err(refusal) => {
                self.refuse();
                return Err(refusal);
            }
        }
        exchange.at = Phase::Body;
        if std::mem::replace(&mut exchange.asks_to_continue, false) {
            out.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(())
    }

    /// Write the head of a response.
    pub fn respond(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) -> bool {
        let has_body = may_have_body(response.status());
        let announced = if has_body { Announced::Length(response.body.len()) } else { Announced::Nothing };
        self.write_head(response, date, announced, out);
        let is_sent = has_body && self.exchange.as_ref().is_some_and(|exchange| !exchange.asks_for_head);
        self.end_exchange();
        is_sent
    }

    /// Write the head of a response whose body is sent in parts.
    pub fn start(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) {
        let has_body = may_have_body(response.status());
        let is_old = self.exchange.as_ref().is_some_and(|exchange| exchange.version == Version::Http10);
        self.closes |= has_body && is_old;
        let announced = if has_body && !is_old { Announced::Chunked } else { Announced::Nothing };
        self.write_head(response, date, announced, out);
        if let Some(exchange) = &mut self.exchange {
            exchange.at = Phase::Streaming;
            exchange.outgoing = match (has_body && !exchange.asks_for_head, is_old) {
                (false, _) => Outgoing::Nothing,
                (true, true) => Outgoing::UntilClose,
                (true, false) => Outgoing::Chunked,
            };
        }
    }

    /// Write a part of the body.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(exchange) = &self.exchange {
            exchange.outgoing.write(bytes, out);
        }
    }

    /// End the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(exchange) = &self.exchange {
            exchange.outgoing.end(out);
        }
        self.end_exchange();
    }

    fn write_head(&mut self, response: &Response, date: &str, announced: Announced, out: &mut Vec<u8>) {
        let (at, version) = (self.phase(), self.exchange.as_ref().map(|exchange| exchange.version));
        self.closes |= response.closes || at != Phase::Owed;
        let connection = match (self.closes, version) {
            (true, _) => Some("close"),
            (false, Some(Version::Http10)) => Some("keep-alive"),
            (false, _) => None,
        };
        encode::head(response, date, announced, connection, out);
    }

    fn end_exchange(&mut self) {
        self.exchange = (!self.closes).then(Exchange::new);
        if self.closes {
            self.received = VecDeque::new();
        }
    }

    /// The next response is the last.
    pub fn close_after(&mut self) {
        self.closes = true;
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        self.exchange.as_ref().map_or(Phase::Done, |exchange| exchange.at)
    }

    /// Does it wait for a request of which it has no byte?
    pub fn is_idle(&self) -> bool {
        self.phase() == Phase::Head && (self.received.is_empty() || self.received == b"\r\n")
    }

    /// How many bytes were received and not read.
    pub fn buffered(&self) -> usize {
        self.received.len()
    }

    /// Has the client shut down its side?
    pub fn is_ended(&self) -> bool {
        self.has_ended
    }
}
