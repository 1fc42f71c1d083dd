//! The application: from a request to what it does, through the guard and the routes, and to nothing else.

use std::cell::Cell;
use std::rc::Rc;

use httpserver::guard::{Guard, Head, Token};
use httpserver::{App, Reply, Request, Response};
use ioloop::IoLoop;
use serde_json::{Value, json};

use crate::block;
use crate::book::Book;
use crate::headers;
use crate::hub::Hub;
use crate::progress::{NO_IDEA, Progress};
use crate::refusal::Refusal;
use crate::routes::{self, Action};
use crate::runs::{Job, Runs};
use crate::trace::Trace;

/// The longest body of a request, in bytes. Each is a name or a number.
const BODY: u64 = 4096;

/// All that requests can reach.
pub struct Live {
    /// Which requests pass.
    pub guard: Guard,
    /// The port on which this server listens.
    pub port: u16,
    /// The secret of this start.
    pub token: Token,
    /// The built book.
    pub book: Rc<Book>,
    /// What the reader has done.
    pub progress: Rc<Progress>,
    /// What runs.
    pub runs: Rc<Runs>,
    /// The streams of events.
    pub hub: Rc<Hub>,
    /// What the loop does.
    pub trace: Rc<Trace>,
    /// How many slow clients there are.
    pub slow: Rc<Cell<usize>>,
}

impl App for Live {
    fn admit(&self, head: &Request, limit: u64) -> Result<u64, Response> {
        self.action(head).map(|_| limit.min(BODY)).map_err(Refusal::response)
    }

    fn handle(&self, ioloop: &IoLoop, request: &Request, reply: Reply) {
        let action = self.action(request);
        let label = format!("{} {}", request.method(), request.path());
        self.trace.label(&label, action == Ok(Action::Events));
        let answer = action.and_then(|action| self.act(ioloop, action, request));
        match answer {
            Ok(Answer::Now(response)) => reply.send(response),
            Ok(Answer::Run(job)) => self.runs.start(ioloop, job, reply),
            Ok(Answer::Events) => self.hub.listen(ioloop, reply, &self.book.hello()),
            Err(refusal) => reply.send(refusal.response()),
        }
    }
}

enum Answer {
    Now(Response),
    Run(Job),
    Events,
}

impl Live {
    fn action(&self, request: &Request) -> Result<Action, Refusal> {
        let fields: Vec<(&str, &[u8])> = request.headers().collect();
        let head = Head { method: request.method(), target: request.target(), fields: &fields };
        routes::admit(&self.guard, &self.token, &head, request.path())
    }

    fn act(&self, ioloop: &IoLoop, action: Action, request: &Request) -> Result<Answer, Refusal> {
        let body = || serde_json::from_slice::<Value>(request.body()).map_err(|_| Refusal::BAD_BODY);
        let json = |value: &Value| Answer::Now(headers::json(value.to_string()));
        match action {
            Action::Page => Ok(Answer::Now(self.book.answer(request))),
            Action::Hello => Ok(json(&json!({ "workbook": 1, "kernel": self.progress.kernel() }))),
            Action::Progress => {
                let mut progress = self.progress.json();
                progress["build"] = self.book.build().into();
                Ok(json(&progress))
            }
            Action::Events => body().map(|_| Answer::Events),
            Action::Run => self.experiment(&body()?).map(Answer::Run),
            Action::Check => {
                let body = body()?;
                let name = body["exercise"].as_str().ok_or(Refusal::BAD_BODY)?;
                self.progress.exercise(name).map(|name| Answer::Run(Job::Check(name))).ok_or(Refusal::UNKNOWN)
            }
            Action::Block => {
                let ms = body()?["ms"].as_u64().ok_or(Refusal::BAD_BODY)?;
                Ok(json(&json!({ "blocked_ms": block::block_the_loop(ms) })))
            }
            Action::Slow => {
                body()?;
                self.slow_client(ioloop).map(|()| json(&json!({ "slow": self.slow.get() })))
            }
        }
    }

    /// The experiment that a body names, with the letter of the reader's prediction, if the reader has an idea. Both are kept.
    fn experiment(&self, body: &Value) -> Result<Job, Refusal> {
        let name = body["experiment"].as_str().ok_or(Refusal::BAD_BODY)?;
        let name = self.progress.experiment(name).ok_or(Refusal::UNKNOWN)?;
        let said = body["prediction"].as_str().unwrap_or_default();
        let mut letters = said.chars();
        let letter = letters.next().filter(|letter| letter.is_ascii_lowercase() && letters.next().is_none());
        if letter.is_some() || said == NO_IDEA {
            self.progress.predicted(&name, said);
        }
        Ok(Job::Experiment(name, letter))
    }

    fn slow_client(&self, ioloop: &IoLoop) -> Result<(), Refusal> {
        if self.slow.get() >= block::SLOW_CLIENTS {
            return Err(Refusal::TOO_MANY);
        }
        let slow = Rc::clone(&self.slow);
        let started = block::slow_client(ioloop, self.port, move || slow.set(slow.get() - 1));
        started.map_err(|_| Refusal::TOO_MANY)?;
        self.slow.set(self.slow.get() + 1);
        Ok(())
    }
}
