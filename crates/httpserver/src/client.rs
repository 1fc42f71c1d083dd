//! One connection on the loop: reads, writes, and tells the application.
//!
//! Contract: an iteration reads once from a client that is ready, and answers all complete requests with one write. The interest
//! changes only if a write was short, or if the client must not be read from. A client that has shut down its side gets its
//! whole response. What is closed delivers its last response first: see `closing`.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use ioloop::{Event, Events, IoLoop, Token, WeakLoop};
use nix::errno::Errno;
use nix::sys::socket::sockopt::TcpNoDelay;
use nix::sys::socket::{MsgFlags, recv, setsockopt};

use crate::Result;
use crate::connection::Connection;
use crate::deadline::Deadline;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::output::{Flushed, Output};
use crate::phase::{Next, Phase};
use crate::reply::{Notify, Reply};
use crate::request::Request;
use crate::response::Response;
use crate::shared::Shared;

/// The connections of one server and what they share.
pub(crate) type Clients = Shared<Client>;

/// A connection on the loop. The loop owns it; replies and streams refer to it.
pub(crate) struct Client {
    pub(crate) shared: Rc<Clients>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) ioloop: WeakLoop,
    /// None once it is closed.
    pub(crate) socket: RefCell<Option<Rc<OwnedFd>>>,
    /// Of its handler.
    pub(crate) token: Cell<Option<Token>>,
    /// In the roster.
    pub(crate) entry: Cell<Option<Token>>,
    pub(crate) interest: Cell<Events>,
    pub(crate) connection: RefCell<Connection>,
    pub(crate) output: RefCell<Output>,
    /// The request that is being read.
    pub(crate) request: RefCell<Option<Box<Request>>>,
    /// How many requests the application got: the number of the last one.
    pub(crate) number: Cell<u64>,
    /// `process` runs, and sends at its end what is written meanwhile.
    pub(crate) is_busy: Cell<bool>,
    /// It is only read from and not answered anymore: this many bytes more.
    pub(crate) lingering: Cell<Option<u64>>,
    pub(crate) deadline: Deadline,
    /// The status of the stream under way.
    pub(crate) status: Cell<u16>,
    pub(crate) journal: Journal,
    pub(crate) when_room: RefCell<Option<Notify>>,
    pub(crate) when_closed: RefCell<Option<Notify>>,
}

impl Client {
    /// Serve the client on this socket.
    ///
    /// # Errors
    /// The errors of [`IoLoop::add_handler`].
    pub(crate) fn add(shared: &Rc<Clients>, ioloop: &IoLoop, socket: OwnedFd) -> Result<Rc<Self>> {
        // A local socket has no such option, and needs none.
        let _ = setsockopt(&socket, TcpNoDelay, &true);
        let limits = Rc::clone(&shared.limits.borrow());
        let socket = Rc::new(socket);
        let client = Rc::new(Self {
            shared: Rc::clone(shared),
            ioloop: ioloop.downgrade(),
            socket: RefCell::new(Some(Rc::clone(&socket))),
            token: Cell::default(),
            entry: Cell::default(),
            interest: Cell::new(Events::READ),
            connection: RefCell::new(Connection::new(Rc::clone(&limits))),
            output: RefCell::default(),
            request: RefCell::default(),
            number: Cell::new(0),
            is_busy: Cell::new(false),
            lingering: Cell::default(),
            deadline: Deadline::default(),
            status: Cell::new(0),
            journal: Journal::new(shared.on_access.borrow().clone(), &socket),
            when_room: RefCell::default(),
            when_closed: RefCell::default(),
            limits,
        });
        let own = Rc::clone(&client);
        let token = ioloop.add_handler(socket, Events::READ, move |ioloop, _, event: Event| {
            own.ready(ioloop, event.events);
        })?;
        client.token.set(Some(token));
        client.entry.set(Some(shared.enroll(Rc::downgrade(&client))));
        client.settle(ioloop);
        Ok(client)
    }

    fn ready(self: &Rc<Self>, ioloop: &IoLoop, events: Events) {
        let is_gone = events.intersects(Events::HANGUP | Events::ERROR);
        if is_gone && (self.lingering.get().is_some() || self.connection.borrow().is_ended()) {
            // Its end was read before, so there is nothing left to read.
            return self.abort(ioloop);
        }
        if is_gone || events.contains(Events::READ) {
            self.read(ioloop);
        }
        self.advance(ioloop);
    }

    /// Read once.
    pub(crate) fn read(self: &Rc<Self>, ioloop: &IoLoop) {
        let Some(socket) = self.socket.borrow().clone() else { return };
        let received = self.shared.with_scratch(|scratch| {
            let count = recv(socket.as_raw_fd(), scratch, MsgFlags::empty())?;
            self.shared.count(|counters| counters.received += count as u64);
            if self.lingering.get().is_none() {
                self.connection.borrow_mut().receive(&scratch[..count]);
            }
            Ok(count)
        });
        match (received, self.lingering.get()) {
            (Err(Errno::EAGAIN | Errno::EINTR), _) => {}
            (Err(_), _) => self.abort(ioloop),
            (Ok(0), Some(_)) => self.close(ioloop),
            (Ok(0), None) => {
                self.connection.borrow_mut().receive_end();
                // A client that closed looks like one that shut down its side, until something is written.
                self.notify_closed(ioloop);
            }
            (Ok(count), Some(left)) => match left.checked_sub(count as u64) {
                Some(left) => self.lingering.set(Some(left)),
                None => self.close(ioloop),
            },
            (Ok(_), None) => {}
        }
    }

    /// Answer what is complete, send what is written, and prepare for what comes next.
    pub(crate) fn advance(self: &Rc<Self>, ioloop: &IoLoop) {
        if self.is_busy.get() || self.socket.borrow().is_none() {
            return;
        }
        loop {
            let was_full = self.process(ioloop);
            if !self.flush(ioloop) {
                return;
            }
            // If the client took all of it, the requests that waited for that are next: no event will say so.
            if !was_full || !self.output.borrow().is_empty() {
                break;
            }
        }
        self.settle(ioloop);
    }

    /// Pass complete requests to the application. Returns true if it stopped because too much is waiting to be sent.
    fn process(self: &Rc<Self>, ioloop: &IoLoop) -> bool {
        self.is_busy.set(true);
        let mut request = self.request.take().unwrap_or_else(|| self.shared.take_request());
        let mut is_full = false;
        loop {
            if self.output.borrow().is_full(self.limits.queued) {
                is_full = true;
                break;
            }
            // Not in the `match`: nothing may be borrowed while the application runs.
            let next = self.connection.borrow_mut().next(&mut request);
            match next {
                Next::More | Next::Done => break,
                Next::Head => self.admit(ioloop, &request),
                Next::Request => self.handle(ioloop, &request),
                Next::Refused(refusal) => {
                    self.number.set(self.number.get() + 1);
                    self.journal.begin(None, ioloop);
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
        let admitted = catch_unwind(AssertUnwindSafe(|| self.shared.app.admit(request, limit)));
        let answer = match admitted {
            Ok(Ok(limit)) => {
                let mut output = self.output.borrow_mut();
                match output.append(|out| self.connection.borrow_mut().admit(limit, out)) {
                    Ok(()) => return,
                    Err(refusal) => refusal.response(),
                }
            }
            Ok(Err(response)) => response,
            Err(thrown) => {
                ioloop.add_callback(move |_| -> () { resume_unwind(thrown) });
                Response::text(500, FAILED)
            }
        };
        self.number.set(self.number.get() + 1);
        self.journal.begin(Some(request), ioloop);
        self.send(ioloop, answer);
    }

    fn handle(self: &Rc<Self>, ioloop: &IoLoop, request: &Request) {
        let number = self.number.get() + 1;
        self.number.set(number);
        self.journal.begin(Some(request), ioloop);
        self.shared.count(|counters| counters.requests += 1);
        let reply = Reply::new(Rc::clone(self) as _, number);
        let handled = catch_unwind(AssertUnwindSafe(|| self.shared.app.handle(ioloop, request, reply)));
        if let Err(thrown) = handled {
            // The loop reports it. The reply was dropped, and has answered 500.
            ioloop.add_callback(move |_| -> () { resume_unwind(thrown) });
        }
    }

    /// Write a whole response.
    pub(crate) fn send(&self, ioloop: &IoLoop, response: Response) {
        let mut output = self.output.borrow_mut();
        let mut connection = self.connection.borrow_mut();
        let clock = &self.shared.clock;
        let with_body = output.append(|out| clock.with(|date| connection.respond(&response, date, out)));
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

    /// Send what the socket takes. Returns false if the connection was closed.
    pub(crate) fn flush(self: &Rc<Self>, ioloop: &IoLoop) -> bool {
        let Some(socket) = self.socket.borrow().clone() else { return false };
        if self.output.borrow().is_empty() {
            return true;
        }
        let flushed = self.output.borrow_mut().flush(&socket);
        match flushed {
            Err(_) | Ok((Flushed::Short, _)) => {
                self.abort(ioloop);
                false
            }
            Ok((_, sent)) => {
                self.shared.count(|counters| counters.sent += sent);
                self.deadline.progress(sent);
                if self.output.borrow().queued() <= self.limits.queued / 2
                    && let Some(notify) = self.when_room.take()
                {
                    ioloop.add_callback(notify);
                }
                true
            }
        }
    }
}

/// The body of the answer to a request whose handler panicked.
const FAILED: &str = "The server failed.\n";
