//! What the connections of a server share in one process: the application, the limits, the counters, and buffers that are used by
//! one connection at a time.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use ioloop::slab::Slab;
use ioloop::timers::TimerId;
use ioloop::{IoLoop, Token};

use crate::app::App;
use crate::common::Common;
use crate::counters::{AccessHook, Counters};
use crate::date::Clock;
use crate::limits::Limits;
use crate::listeners::Listener;
use crate::request::Request;

/// How many bytes are read at once.
const READ: usize = 64 * 1024;

/// How many requests are kept for the next ones.
const SPARE: usize = 64;

/// `C` is a connection: those of this module do not know what that is.
pub(crate) struct Shared<C> {
    pub(crate) app: Rc<dyn App>,
    pub(crate) limits: RefCell<Rc<Limits>>,
    pub(crate) on_access: RefCell<Option<AccessHook>>,
    pub(crate) common: RefCell<Common>,
    pub(crate) counters: RefCell<Counters>,
    pub(crate) clock: Clock,
    pub(crate) listeners: RefCell<Vec<Listener>>,
    /// The server is stopping: each connection is closed after its next response.
    pub(crate) is_stopping: Cell<bool>,
    /// It has accepted all that was in the queues, and stops its loop when the last connection is closed.
    pub(crate) has_accepted_all: Cell<bool>,
    /// What ends the grace period, of each call of `stop`.
    pub(crate) graces: RefCell<Vec<TimerId>>,
    scratch: RefCell<Vec<u8>>,
    // Boxed, because a connection has a place for one, which is mostly empty.
    #[expect(clippy::vec_box, reason = "they move between here and a connection as they are")]
    spare: RefCell<Vec<Box<Request>>>,
    roster: RefCell<Slab<Weak<C>>>,
}

impl<C> Shared<C> {
    pub(crate) fn new(app: Rc<dyn App>) -> Self {
        Self {
            app,
            limits: RefCell::default(),
            on_access: RefCell::default(),
            common: RefCell::default(),
            counters: RefCell::default(),
            clock: Clock::default(),
            listeners: RefCell::default(),
            is_stopping: Cell::new(false),
            has_accepted_all: Cell::new(false),
            graces: RefCell::default(),
            scratch: RefCell::new(Vec::new()),
            spare: RefCell::default(),
            roster: RefCell::default(),
        }
    }

    /// Change the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.borrow_mut());
    }

    /// Call `with` with a buffer to read into. Nothing that `with` calls may ask for it again.
    pub(crate) fn with_scratch<T>(&self, with: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.borrow_mut();
        scratch.resize(READ, 0);
        with(&mut scratch)
    }

    /// A request to be filled.
    pub(crate) fn take_request(&self) -> Box<Request> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut request: Box<Request>) {
        request.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(request);
        }
    }

    pub(crate) fn enroll(&self, connection: Weak<C>) -> Token {
        self.count(|counters| counters.open += 1);
        self.roster.borrow_mut().insert(connection)
    }

    pub(crate) fn leave(&self, token: Token, ioloop: &IoLoop) {
        self.count(|counters| counters.open -= 1);
        let left = self.roster.borrow_mut().remove(token);
        drop(left);
        self.stop_after_the_last(ioloop);
    }

    /// Stop the loop if the server has accepted all that it will, and no connection is left.
    pub(crate) fn stop_after_the_last(&self, ioloop: &IoLoop) {
        if self.has_accepted_all.get() && self.counters.borrow().open == 0 {
            self.stop(ioloop);
        }
    }

    /// Stop the loop once: the program may start it again, and then no timer of this stop must fire.
    pub(crate) fn stop(&self, ioloop: &IoLoop) {
        self.graces.take().into_iter().for_each(|timer| ioloop.remove_timeout(timer));
        ioloop.stop();
    }

    /// The connections that are open.
    pub(crate) fn connections(&self) -> Vec<Rc<C>> {
        let roster = self.roster.borrow();
        let tokens = roster.tokens();
        tokens.into_iter().filter_map(|token| roster.get(token)?.upgrade()).collect()
    }
}
