//! What replies and streams do with their connection.

use std::rc::Rc;
use std::thread;

use ioloop::IoLoop;

use crate::app::caught;
use crate::client::Client;
use crate::encode::may_have_body;
use crate::phase::Phase;
use crate::reply::{Closed, Exchange, Notify, Room};
use crate::response::{Body, Response};

impl Client {
    /// The loop, if this request is in this phase and the client is still there.
    fn current(&self, number: u64, phase: Phase) -> Option<IoLoop> {
        let is_current = number == self.number.get()
            && self.socket.borrow().is_some()
            && self.connection.borrow().phase() == phase;
        is_current.then(|| self.ioloop.upgrade()).flatten()
    }

    /// Send what was written, and go on. In a panic the loop does that, because the application would run in its middle.
    fn go_on(self: &Rc<Self>, ioloop: &IoLoop) {
        if thread::panicking() {
            let own = Rc::clone(self);
            ioloop.add_callback(move |ioloop| own.advance(ioloop));
        } else {
            self.advance(ioloop);
        }
    }

    fn room(&self) -> Room {
        if self.output.borrow().queued() > self.limits.queued { Room::Full } else { Room::Left }
    }
}

impl Exchange for Client {
    fn respond(self: Rc<Self>, number: u64, response: Response) {
        if let Some(ioloop) = self.current(number, Phase::Owed) {
            self.send(&ioloop, response);
            self.go_on(&ioloop);
        }
    }

    fn start(self: Rc<Self>, number: u64, mut head: Response) {
        let Some(ioloop) = self.current(number, Phase::Owed) else { return };
        self.shared.common.borrow().add_to(&mut head);
        let first: &[u8] = if let Body::Bytes(first) = &head.body { first } else { &[] };
        // Without a body the response is complete: the stream may never be finished, and its client goes on.
        let is_complete = self.is_head.get() || !may_have_body(head.status);
        let queued = self.output.borrow_mut().append(|out| {
            let mut connection = self.connection.borrow_mut();
            self.shared.clock.with(|date| connection.start(&head, date, out));
            if is_complete {
                connection.finish(out);
                return 0;
            }
            connection.write(first, out);
            first.len() as u64
        });
        if is_complete {
            self.finished(&ioloop, head.status, 0);
        } else {
            self.journal.add(Some(head.status), queued);
            self.status.set(head.status);
        }
        self.go_on(&ioloop);
    }

    fn write(self: Rc<Self>, number: u64, bytes: &[u8]) -> Result<Room, Closed> {
        let ioloop = self.current(number, Phase::Streaming).ok_or(Closed)?;
        self.output.borrow_mut().append(|out| self.connection.borrow().write(bytes, out));
        self.journal.add(None, bytes.len() as u64);
        self.go_on(&ioloop);
        if self.socket.borrow().is_some() { Ok(self.room()) } else { Err(Closed) }
    }

    fn finish(self: Rc<Self>, number: u64) {
        let Some(ioloop) = self.current(number, Phase::Streaming) else { return };
        if thread::panicking() {
            // The client must not take this for the whole.
            return self.abort(&ioloop);
        }
        let unused = (self.when_room.take(), self.when_closed.take());
        self.output.borrow_mut().append(|out| self.connection.borrow_mut().finish(out));
        self.finished(&ioloop, self.status.get(), 0);
        self.go_on(&ioloop);
        // Last: what the application has given its callbacks may panic when it is dropped.
        let _ = caught(&ioloop, || drop(unused));
    }

    fn when_room(self: Rc<Self>, number: u64, notify: Notify) {
        let Some(ioloop) = self.current(number, Phase::Streaming) else { return };
        match self.room() {
            Room::Left => ioloop.add_callback(notify),
            Room::Full => drop(self.when_room.replace(Some(notify))),
        }
    }

    fn when_closed(self: Rc<Self>, number: u64, notify: Notify) {
        match self.current(number, Phase::Streaming) {
            Some(ioloop) if self.connection.borrow().is_ended() || self.shared.is_stopping.get() => {
                ioloop.add_callback(notify);
            }
            Some(_) => drop(self.when_closed.replace(Some(notify))),
            // It has left already.
            None => {
                if let Some(ioloop) = self.ioloop.upgrade() {
                    ioloop.add_callback(notify);
                }
            }
        }
    }

    fn is_open(&self, number: u64) -> bool {
        number == self.number.get() && self.socket.borrow().is_some()
    }
}
