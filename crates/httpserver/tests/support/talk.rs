//! A conversation with a `Connection` that has no socket: bytes in, requests, responses, bytes out.

use std::rc::Rc;

use httpserver::{Connection, Limits, Next, Request, Response};

use super::parse::{self, Got, Unread};
use super::split::Split;

/// The date that each response has.
pub const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// How a test answers a request.
pub enum Answer {
    /// With a whole response.
    Whole(Response),
    /// With a head and parts.
    Parts(Response, Vec<Vec<u8>>),
}

/// What a connection did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What the application got: `GET /a`, and behind it the body and the trailer fields, if there are any.
    pub requests: Vec<String>,
    /// The bytes that were sent.
    pub out: Vec<u8>,
    /// Does the connection expect nothing more?
    pub is_done: bool,
}

impl Seen {
    /// The responses, interim ones left out. `methods` are those of their requests; GET where none is left.
    #[track_caller]
    pub fn responses(&self, methods: &[&str]) -> Vec<Got> {
        let (mut responses, mut at): (Vec<Got>, _) = (Vec::new(), 0);
        while at < self.out.len() {
            let method = methods.get(responses.len()).unwrap_or(&"GET");
            match parse::response(&self.out[at..], method, self.is_done) {
                Ok((got, length)) => {
                    at += length;
                    if got.status >= 200 {
                        responses.push(got);
                    }
                }
                Err(Unread::Incomplete) => {
                    panic!(
                        "the last response has fewer bytes than its head announces: {}",
                        self.out[at..].escape_ascii()
                    )
                }
                Err(Unread::Wrong(why)) => panic!("{why}, in: {}", self.out[at..].escape_ascii()),
            }
        }
        responses
    }

    /// The statuses of the responses.
    #[track_caller]
    pub fn statuses(&self) -> Vec<u16> {
        self.responses(&[]).iter().map(|got| got.status).collect()
    }
}

/// A request as one line.
pub fn words(request: &Request) -> String {
    let mut words = format!("{} {}", request.method(), request.target());
    if !request.body().is_empty() {
        words += &format!(" {}", request.body().escape_ascii());
    }
    for (name, value) in request.trailers() {
        words += &format!(" {name}={}", value.escape_ascii());
    }
    words
}

/// A conversation that goes on piece by piece.
pub struct Talk<'a> {
    /// The connection.
    pub connection: Connection,
    request: Request,
    answer: &'a dyn Fn(&Request) -> Answer,
    /// The longest body that is admitted, in bytes.
    pub admitted: u64,
    /// What was seen so far.
    pub seen: Seen,
}

impl<'a> Talk<'a> {
    /// A new connection, whose requests are answered by `answer`.
    pub fn new(limits: &Limits, answer: &'a dyn Fn(&Request) -> Answer) -> Self {
        let connection = Connection::new(Rc::new(limits.clone()));
        let admitted = limits.body;
        Self { connection, request: Request::default(), answer, admitted, seen: Seen::default() }
    }

    /// The client sends this.
    pub fn send(&mut self, bytes: &[u8]) {
        self.connection.receive(bytes);
        self.go_on();
    }

    /// The client shuts down its side.
    pub fn end(&mut self) {
        self.connection.receive_end();
        self.go_on();
    }

    fn go_on(&mut self) {
        let out = &mut self.seen.out;
        loop {
            match self.connection.next(&mut self.request) {
                Next::More => break,
                Next::Done => {
                    self.seen.is_done = true;
                    break;
                }
                Next::Head => {
                    if let Err(refusal) = self.connection.admit(self.admitted, out) {
                        whole(&mut self.connection, refusal.response(), out);
                    }
                }
                Next::Request => {
                    self.seen.requests.push(words(&self.request));
                    match (self.answer)(&self.request) {
                        Answer::Whole(response) => whole(&mut self.connection, response, out),
                        Answer::Parts(head, parts) => {
                            self.connection.start(&head, DATE, out);
                            parts.iter().for_each(|part| self.connection.write(part, out));
                            self.connection.finish(out);
                        }
                    }
                }
                Next::Refused(refusal) => whole(&mut self.connection, refusal.response(), out),
            }
        }
    }
}

fn whole(connection: &mut Connection, response: Response, out: &mut Vec<u8>) {
    if connection.respond(&response, DATE, out)
        && let Some(bytes) = response.bytes()
    {
        out.extend_from_slice(bytes);
    }
}

/// Answer with the request as text.
pub fn echo(request: &Request) -> Answer {
    Answer::Whole(Response::text(200, words(request)))
}

/// What a connection does with these bytes, however they are split. The client shuts down its side after them.
#[track_caller]
pub fn talk(bytes: impl AsRef<[u8]>) -> Seen {
    talk_with(bytes, &Limits::default(), &echo)
}

/// The same with limits and answers.
#[track_caller]
pub fn talk_with(bytes: impl AsRef<[u8]>, limits: &Limits, answer: &dyn Fn(&Request) -> Answer) -> Seen {
    let bytes = bytes.as_ref();
    let one = |split: Split| {
        let mut talk = Talk::new(limits, answer);
        split.pieces(bytes).into_iter().for_each(|piece| talk.send(piece));
        talk.end();
        talk.seen
    };
    let whole = one(Split::Whole);
    for split in Split::ALL {
        let seen = one(split);
        assert_eq!(
            seen,
            whole,
            "`{}` split as {split:?} has another result (left) than in one piece (right). What a connection does must not \
             depend on how the bytes arrive",
            bytes.escape_ascii()
        );
    }
    whole
}
