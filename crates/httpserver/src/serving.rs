//! Requests of a connection, and the application that answers them.
//!
//! Contract: nothing of the connection is borrowed while the application runs. A panic of the application is a 500 for its
//! request, and is reported by the loop.

use std::rc::Rc;

use ioloop::IoLoop;

use crate::app::caught;
use crate::client::Client;
use crate::phase::{Next, Phase};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// The body of the answer to a request whose handler panicked.
const FAILED: &str = "The server failed.\n";

impl Client {
    /// Pass complete requests to the application. Returns true if it stopped because too much is waiting to be sent.
    pub(crate) fn process(self: &Rc<Self>, ioloop: &IoLoop) -> bool {
        self.is_busy.set(true);
        let mut request = self.request.take().unwrap_or_else(|| self.shared.take_request());
        let mut is_full = false;
        loop {
            if self.output.borrow().is_full(self.limits.queued) {
                is_full = true;
                break;
            }
            // Not in the `match`: nothing may be borrowed while the application runs.
            let is_accepted = self.connection.borrow().phase() == Phase::Body;
            let next = self.connection.borrow_mut().next(&mut request);
            match next {
                Next::More | Next::Done => break,
                Next::Head => self.admit(ioloop, &request),
                Next::Request => self.handle(ioloop, &request),
                Next::Refused(refusal) => {
                    self.number.set(self.number.get() + 1);
                    self.journal.begin(is_accepted.then_some(&request), ioloop);
                    self.send(ioloop, refusal.response());
                }
            }
        }
        // A request whose body is not there yet is needed again.
        match self.connection.borrow().phase() {
            Phase::Body => drop(self.request.replace(Some(request))),
            _ => self.shared.give_back(request),
        }
        self.is_busy.set(false);
        is_full
    }

    fn admit(self: &Rc<Self>, ioloop: &IoLoop, request: &Request) {
        let limit = self.limits.body;
        let answer = match caught(ioloop, || self.shared.app.admit(request, limit)) {
            Some(Ok(limit)) => {
                let mut output = self.output.borrow_mut();
                match output.append(|out| self.connection.borrow_mut().admit(limit, out)) {
                    Ok(()) => return,
                    Err(refusal) => refusal.response(),
                }
            }
            Some(Err(response)) => response,
            None => Response::text(500, FAILED),
        };
        self.number.set(self.number.get() + 1);
        self.journal.begin(Some(request), ioloop);
        self.send(ioloop, answer);
    }

    fn handle(self: &Rc<Self>, ioloop: &IoLoop, request: &Request) {
        let number = self.number.get() + 1;
        self.number.set(number);
        self.version.set(request.version());
        self.is_head.set(request.method() == "HEAD");
        self.journal.begin(Some(request), ioloop);
        self.shared.count(|counters| counters.requests += 1);
        let reply = Reply::new(Rc::clone(self) as _, number);
        // After a panic the reply was dropped, and has answered 500.
        let _ = caught(ioloop, || self.shared.app.handle(ioloop, request, reply));
    }

    /// Write a whole response.
    pub(crate) fn send(&self, ioloop: &IoLoop, mut response: Response) {
        self.shared.common.borrow().add_to(&mut response);
        let mut output = self.output.borrow_mut();
        let mut connection = self.connection.borrow_mut();
        let with_body =
            output.append(|out| self.shared.clock.with(|date| connection.respond(&response, date, out)));
        let length = if with_body { response.body.len() } else { 0 };
        if with_body {
            response.body.push_to(&mut output);
        }
        drop((output, connection));
        self.finished(ioloop, response.status, length);
    }

    /// A response is complete.
    pub(crate) fn finished(&self, ioloop: &IoLoop, status: u16, length: u64) {
        self.shared.count(|counters| counters.responses[usize::from(status / 100)] += 1);
        self.journal.add(Some(status), length);
        self.journal.end(ioloop);
    }
}
