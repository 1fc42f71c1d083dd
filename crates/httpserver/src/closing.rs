//! What a connection waits for and for how long, and its end.
//!
//! Contract: a client that is too slow with a request gets 408, and one that sent nothing gets nothing. A connection that the
//! server is done with is shut down for writing, and then read from for a while: closing it with unread bytes would reset it, and the
//! client could lose the last response.

use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Events, IoLoop};
use nix::libc::linger;
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{Shutdown, setsockopt, shutdown};

use crate::app::caught;
use crate::client::Client;
use crate::deadline::Stage;
use crate::phase::Phase;
use crate::refusal::Refusal;
use crate::request::Version;

/// How long a server that stops waits for a request that may be on its way on an idle connection.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How long a server that stops reads from a connection that it is done with.
const LAST_LINGER: Duration = Duration::from_secs(1);

impl Client {
    /// Set the interest and the deadline to what the connection waits for now.
    pub(crate) fn settle(self: &Rc<Self>, ioloop: &IoLoop) {
        let (phase, is_ended) = (self.connection.borrow().phase(), self.connection.borrow().is_ended());
        let is_queued = !self.output.borrow().is_empty();
        if phase == Phase::Done && !is_queued && self.lingering.get().is_none() {
            if is_ended || !self.shut_down() {
                return self.close(ioloop);
            }
            self.lingering.set(Some(self.limits.linger_bytes));
        }
        let is_lingering = self.lingering.get().is_some();
        let mut interest = Events::empty();
        let most = self.limits.pipelined.max(self.limits.head.saturating_add(1));
        interest.set(Events::READ, is_lingering || !is_ended && self.connection.borrow().buffered() < most);
        interest.set(Events::WRITE, is_queued);
        if let Some(token) = self.token.get()
            && self.interest.replace(interest) != interest
            && ioloop.update_handler(token, interest).is_err()
        {
            return self.abort(ioloop);
        }
        self.await_progress(ioloop, phase, is_queued, is_lingering);
    }

    fn await_progress(self: &Rc<Self>, ioloop: &IoLoop, phase: Phase, is_queued: bool, is_lingering: bool) {
        let stage = match phase {
            _ if is_lingering => Stage::Lingering,
            // The client need not send anything: its next request may wait here for room.
            _ if self.output.borrow().is_full(self.limits.queued) => Stage::Running,
            Phase::Head if !self.connection.borrow().is_idle() => Stage::Head,
            Phase::Head if !is_queued => Stage::Idle,
            Phase::Admission | Phase::Body => Stage::Body,
            _ => Stage::Running,
        };
        let now = ioloop.time();
        let since = self.deadline.enter(stage, self.number.get(), now);
        let limits = &self.limits;
        let is_stopping = self.shared.is_stopping.get();
        let allowed = match stage {
            Stage::Idle if is_stopping => Some(LAST_CALL),
            Stage::Idle => Some(limits.idle_time),
            Stage::Head => Some(limits.head_time),
            Stage::Body => {
                let received = self.request.borrow().as_ref().map_or(0, |request| request.body.len() as u64);
                let earned = Duration::from_secs(received / limits.body_rate.max(1));
                Some(limits.body_time.saturating_add(earned))
            }
            Stage::Running => None,
            Stage::Lingering if is_stopping => Some(limits.linger_time.min(LAST_LINGER)),
            Stage::Lingering => Some(limits.linger_time),
        };
        let at = allowed.map(|allowed| since.saturating_add(allowed));
        let at = [at, self.stalls_at(is_queued, now)].into_iter().flatten().min();
        self.deadline.set(ioloop, at, self.on_timer());
    }

    /// By when a client must take some of what is queued.
    fn stalls_at(&self, is_queued: bool, now: Duration) -> Option<Duration> {
        self.deadline.stalled(is_queued, now).map(|since| since.saturating_add(self.limits.write_time))
    }

    fn on_timer(self: &Rc<Self>) -> impl FnOnce(&IoLoop) + 'static {
        let own = Rc::downgrade(self);
        move |ioloop| {
            if let Some(client) = own.upgrade()
                && client.deadline.is_over(ioloop, client.on_timer())
            {
                client.timed_out(ioloop);
            }
        }
    }

    fn timed_out(self: &Rc<Self>, ioloop: &IoLoop) {
        if self.deadline.stage() != Stage::Running {
            self.read(ioloop);
        }
        // If a handler blocked the loop, this timer runs before the loop looks at the sockets again. What has arrived and what
        // the client has taken meanwhile counts. Besides, closing a socket with a request in it would reset the connection, and
        // a proxy may not send a POST again, so its client would get 502.
        self.advance(ioloop);
        if self.socket.borrow().is_none() || !self.deadline.has_passed(ioloop.time()) {
            return;
        }
        // Bytes may be queued for a client that takes some now and then: then the other deadline is over.
        let (is_queued, now) = (!self.output.borrow().is_empty(), ioloop.time());
        let is_stalled = self.stalls_at(is_queued, now).is_some_and(|at| at <= now);
        match self.deadline.stage() {
            Stage::Lingering => self.close(ioloop),
            Stage::Idle => {
                self.shared.count(|counters| counters.idled += 1);
                self.close(ioloop);
            }
            Stage::Head | Stage::Body if !is_stalled => {
                self.shared.count(|counters| counters.timeouts += 1);
                self.connection.borrow_mut().refuse();
                self.number.set(self.number.get() + 1);
                self.journal.begin(self.request.borrow().as_deref(), ioloop);
                let refusal = Refusal::new(408, "The request did not arrive in time.");
                self.send(ioloop, refusal.response());
                self.advance(ioloop);
            }
            _ => {
                self.shared.count(|counters| counters.timeouts += 1);
                self.abort(ioloop);
            }
        }
    }

    /// Answer this client with 503, and nothing else.
    pub(crate) fn turn_away(self: &Rc<Self>, ioloop: &IoLoop) {
        self.connection.borrow_mut().refuse();
        self.number.set(1);
        self.journal.begin(None, ioloop);
        let refusal = Refusal::new(503, "The server has too many connections.");
        self.send(ioloop, refusal.response());
        self.advance(ioloop);
    }

    /// The server stops: the response under way is the last one.
    pub(crate) fn stop(self: &Rc<Self>, ioloop: &IoLoop) {
        self.connection.borrow_mut().close_after();
        self.notify_closed(ioloop);
        self.deadline.restart();
        if self.lingering.get().is_none() && self.connection.borrow().is_idle() {
            // A request may have arrived already.
            self.read(ioloop);
        }
        self.advance(ioloop);
    }

    fn shut_down(&self) -> bool {
        let socket = self.socket.borrow();
        socket.as_ref().is_some_and(|socket| shutdown(socket.as_raw_fd(), Shutdown::Write).is_ok())
    }

    /// The client has left in the middle, or must be cut off: close without a word.
    pub(crate) fn abort(&self, ioloop: &IoLoop) {
        if self.socket.borrow().is_some() {
            let is_owed = !self.connection.borrow().is_idle() || !self.output.borrow().is_empty();
            let in_the_middle = self.journal.end(ioloop) || is_owed;
            if in_the_middle && self.lingering.get().is_none() {
                self.shared.count(|counters| counters.aborted += 1);
                self.close_with_a_reset();
            }
        }
        self.close(ioloop);
    }

    /// To a client of HTTP/1.0, the end of the connection can be the end of the body. A reset is not: RFC 9112, 8.
    fn close_with_a_reset(&self) {
        if let (Version::Http10, Some(socket)) = (self.version.get(), &*self.socket.borrow()) {
            // If that fails, nothing else tells the client.
            let _ = setsockopt(socket, Linger, &linger { l_onoff: 1, l_linger: 0 });
        }
    }

    /// Close the socket, and forget what waits for it.
    pub(crate) fn close(&self, ioloop: &IoLoop) {
        if self.socket.take().is_none() {
            return;
        }
        if let Some(token) = self.token.take() {
            ioloop.remove_handler(token);
        }
        self.deadline.cancel(ioloop);
        drop((self.output.take(), self.request.take()));
        self.notify_closed(ioloop);
        if let Some(entry) = self.entry.take() {
            self.shared.leave(entry, ioloop);
        }
        // Last: what the application has given its callback may panic when it is dropped.
        let _ = caught(ioloop, || drop(self.when_room.take()));
    }

    /// Call what waits for the client to leave.
    pub(crate) fn notify_closed(&self, ioloop: &IoLoop) {
        if let Some(notify) = self.when_closed.take() {
            ioloop.add_callback(notify);
        }
    }
}
