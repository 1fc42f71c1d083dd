//! Another way for `httpserver/connection`: each state has what belongs to it, and what a response needs of its request is in one value.

use std::mem;
use std::rc::Rc;

use crate::body::{Incoming, Outgoing};
use crate::encode::{self, Announced, may_have_body};
use crate::framing::{self, Framing};
use crate::head::{self, Scan};
use crate::limits::Limits;
use crate::persistence::{expects_continue, wants_another};
use crate::phase::{Next, Phase};
use crate::refusal::Refusal;
use crate::request::{Request, Version};
use crate::response::Response;

const INCOMPLETE: Refusal = Refusal::bad("The request is incomplete.");

/// The state of a connection.
#[derive(Debug)]
pub struct Connection {
    limits: Rc<Limits>,
    input: Vec<u8>,
    is_ended: bool,
    is_last: bool,
    state: State,
    asked: Asked,
}

#[derive(Debug)]
enum State {
    Head(Scan),
    Admission(Framing),
    Body(Incoming),
    Owed,
    Streaming(Outgoing),
    Done,
}

/// What a response depends on.
#[derive(Debug, Default)]
struct Asked {
    is_head: bool,
    version: Version,
    is_waiting: bool,
}

impl Connection {
    /// A connection that has received nothing.
    pub fn new(limits: Rc<Limits>) -> Self {
        let state = State::Head(Scan::default());
        Self { limits, input: Vec::new(), is_ended: false, is_last: false, state, asked: Asked::default() }
    }

    /// The client sent these bytes.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Done) {
            self.input.extend_from_slice(bytes);
        }
    }

    /// The client has shut down its side.
    pub fn receive_end(&mut self) {
        self.is_ended = true;
    }

    /// Read on.
    pub fn next(&mut self, request: &mut Request) -> Next {
        match self.read(request) {
            Ok(next) => next,
            Err(refusal) => {
                self.refuse();
                Next::Refused(refusal)
            }
        }
    }

    fn read(&mut self, request: &mut Request) -> Result<Next, Refusal> {
        match &mut self.state {
            State::Head(scan) => {
                self.asked.is_head = self.input.strip_prefix(b"\r\n").unwrap_or(&self.input).starts_with(b"HEAD ");
                let Some((start, end)) = scan.find(&self.input, &self.limits)? else {
                    if !self.is_ended {
                        return Ok(Next::More);
                    }
                    if !self.is_idle() {
                        return Err(INCOMPLETE);
                    }
                    self.state = State::Done;
                    return Ok(Next::Done);
                };
                let head: Vec<u8> = self.input.drain(..end).skip(start).collect();
                head::parse(&head, request, &self.limits)?;
                self.asked.version = request.version();
                let framing = framing::of(request)?;
                self.is_last |= !wants_another(request);
                self.asked.is_waiting = expects_continue(request)?;
                let has_body = framing != Framing::Length(0);
                self.state = if has_body { State::Admission(framing) } else { State::Owed };
                Ok(if has_body { Next::Head } else { Next::Request })
            }
            State::Body(body) => {
                let (taken, is_complete) = body.read(&self.input, request, &self.limits)?;
                self.input.drain(..taken);
                match (is_complete, self.is_ended) {
                    (true, _) => {
                        self.state = State::Owed;
                        Ok(Next::Request)
                    }
                    (false, true) => Err(INCOMPLETE),
                    (false, false) => Ok(Next::More),
                }
            }
            State::Admission(_) => Ok(Next::Head),
            State::Owed | State::Streaming(_) => Ok(Next::More),
            State::Done => Ok(Next::Done),
        }
    }

    /// A response is owed, and is the last.
    pub fn refuse(&mut self) {
        self.state = State::Owed;
        self.is_last = true;
    }

    /// Read a body of at most `limit` bytes.
    pub fn admit(&mut self, limit: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let State::Admission(framing) = self.state else { return Ok(()) };
        match Incoming::new(framing, limit) {
            Ok(body) => self.state = State::Body(body),
            Err(refusal) => {
                self.refuse();
                return Err(refusal);
            }
        }
        if self.asked.is_waiting {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(())
    }

    /// Write the head of a response.
    pub fn respond(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) -> bool {
        let length = may_have_body(response.status()).then(|| response.body.len());
        self.write_head(response, date, length.map_or(Announced::Nothing, Announced::Length), out);
        let is_sent = length.is_some() && !self.asked.is_head;
        self.end();
        is_sent
    }

    /// Write the head of a response whose body is sent in parts.
    pub fn start(&mut self, response: &Response, date: &str, out: &mut Vec<u8>) {
        let is_old = self.asked.version == Version::Http10;
        let (announced, outgoing) = match may_have_body(response.status()) {
            false => (Announced::Nothing, Outgoing::Nothing),
            true if is_old => (Announced::Nothing, Outgoing::UntilClose),
            true => (Announced::Chunked, Outgoing::Chunked),
        };
        self.is_last |= outgoing == Outgoing::UntilClose;
        self.write_head(response, date, announced, out);
        self.state = State::Streaming(if self.asked.is_head { Outgoing::Nothing } else { outgoing });
    }

    /// Write a part of the body.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if let State::Streaming(outgoing) = &self.state {
            outgoing.write(bytes, out);
        }
    }

    /// End the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let State::Streaming(outgoing) = &self.state {
            outgoing.end(out);
        }
        self.end();
    }

    fn write_head(&mut self, response: &Response, date: &str, announced: Announced, out: &mut Vec<u8>) {
        self.is_last |= response.closes || matches!(self.state, State::Admission(_));
        let connection = match self.asked.version {
            _ if self.is_last => Some("close"),
            Version::Http10 => Some("keep-alive"),
            Version::Http11 => None,
        };
        encode::head(response, date, announced, connection, out);
    }

    fn end(&mut self) {
        self.asked = Asked::default();
        if self.is_last {
            self.state = State::Done;
            drop(mem::take(&mut self.input));
        } else {
            self.state = State::Head(Scan::default());
        }
    }

    /// The next response is the last.
    pub fn close_after(&mut self) {
        self.is_last = true;
    }

    /// What the connection is doing.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Head(_) => Phase::Head,
            State::Admission(_) => Phase::Admission,
            State::Body(_) => Phase::Body,
            State::Owed => Phase::Owed,
            State::Streaming(_) => Phase::Streaming,
            State::Done => Phase::Done,
        }
    }

    /// Does it wait for a request of which it has no byte?
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head(_)) && matches!(&*self.input, b"" | b"\r\n")
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
