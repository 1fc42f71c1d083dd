//! One connection on the loop: reads, writes, and tells the application.
//!
//! Contract: an iteration reads once from a client that is ready, and answers all complete requests with one write. The interest
//! changes only if a write was short, or if the client must not be read from. A client that has shut down its side gets its
//! whole response. What is closed delivers its last response first: see `closing`.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
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
use crate::reply::Notify;
use crate::request::{Request, Version};
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
    /// The version of that one, and whether its method is HEAD.
    pub(crate) version: Cell<Version>,
    pub(crate) is_head: Cell<bool>,
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
            version: Cell::default(),
            is_head: Cell::default(),
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
        let is_lingering = self.lingering.get().is_some();
        if is_gone && self.connection.borrow().is_ended() || is_lingering && events.contains(Events::ERROR) {
            // Its end was read before, or it has reset the connection, so there is nothing left to read.
            return self.abort(ioloop);
        }
        // HANGUP while lingering: both sides are shut down. What the client sent before that is read first, because
        // closing a socket with unread bytes resets the connection, and the client would lose the end of the response.
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
            // If the client took enough of it, the requests that waited for that are next: no event will say so.
            if !was_full || self.output.borrow().is_full(self.limits.queued) {
                break;
            }
        }
        self.settle(ioloop);
    }

    /// Send what the socket takes. Returns false if the connection was closed.
    pub(crate) fn flush(self: &Rc<Self>, ioloop: &IoLoop) -> bool {
        let Some(socket) = self.socket.borrow().clone() else { return false };
        if self.output.borrow().is_empty() {
            return true;
        }
        let flushed = self.output.borrow_mut().flush(&socket);
        let sent = flushed.map_or(0, |(_, sent)| sent);
        self.shared.count(|counters| counters.sent += sent);
        self.deadline.progress(sent);
        match flushed {
            Err(_) | Ok((Flushed::Short, _)) => {
                self.abort(ioloop);
                false
            }
            Ok(_) => {
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
