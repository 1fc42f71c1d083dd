//! The hub: the streams of events, one for each browser that shows the book, and what is published on them.
//!
//! Events are few, apart from those of the trace, which are published ten times a second at most, and not at all while a
//! stream is full. While nobody listens, the loop is neither traced nor watched.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use httpserver::{Reply, Room, Stream};
use ioloop::{IoLoop, Periodic, Subscription};
use serde_json::{Value, json};

use crate::block;
use crate::headers::stream_head;
use crate::refusal::Refusal;
use crate::trace::Trace;

/// How many browsers can listen.
const STREAMS: usize = 8;

/// How often the trace is published.
const PERIOD: Duration = Duration::from_millis(100);

/// The streams.
pub struct Hub {
    trace: Rc<Trace>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    recording: RefCell<Option<Recording>>,
}

struct Listener {
    stream: Stream,
    full: Cell<bool>,
    /// Has the client left?
    gone: Cell<bool>,
}

struct Recording {
    subscriptions: [Subscription; 2],
    timer: Periodic,
}

impl Hub {
    /// No stream yet.
    pub fn new(trace: Rc<Trace>) -> Rc<Self> {
        Rc::new(Self { trace, listeners: RefCell::default(), recording: RefCell::default() })
    }

    /// Answer a request with a stream of events, which begins with `hello`: what was published before is lost for this client.
    pub fn listen(self: &Rc<Self>, ioloop: &IoLoop, reply: Reply, hello: &Value) {
        if self.listeners.borrow().len() >= STREAMS {
            return reply.send(Refusal::TOO_MANY.response());
        }
        let stream = reply.stream(stream_head());
        let listener = Rc::new(Listener { stream, full: Cell::new(false), gone: Cell::new(false) });
        let (own, hub) = (Rc::downgrade(&listener), Rc::downgrade(self));
        listener.stream.when_closed(move |ioloop| {
            own.upgrade().iter().for_each(|listener| listener.gone.set(true));
            hub.upgrade().iter().for_each(|hub| hub.forget(ioloop));
        });
        listener.write(format!("{hello}\n").as_bytes());
        self.listeners.borrow_mut().push(listener);
        self.record(ioloop);
    }

    /// Send an event to all browsers.
    pub fn publish(&self, ioloop: &IoLoop, event: &Value) {
        self.write(ioloop, event, |_| true);
    }

    /// Say goodbye, and end all streams.
    pub fn close(&self, ioloop: &IoLoop, why: &str) {
        self.publish(ioloop, &json!({ "kind": "bye", "why": why }));
        self.listeners.borrow().iter().for_each(|listener| listener.gone.set(true));
        self.forget(ioloop);
    }

    fn write(&self, ioloop: &IoLoop, event: &Value, wanted: impl Fn(&Listener) -> bool) {
        let line = format!("{event}\n");
        let listeners = self.listeners.borrow().clone();
        for listener in listeners.iter().filter(|listener| wanted(listener)) {
            listener.write(line.as_bytes());
        }
        self.forget(ioloop);
    }

    /// Drop the streams whose clients have left. Without a stream nothing is recorded.
    fn forget(&self, ioloop: &IoLoop) {
        // Dropped after the borrow has ended: dropping a stream writes its end.
        let gone: Vec<_> = {
            let mut listeners = self.listeners.borrow_mut();
            listeners.extract_if(.., |listener| listener.gone.get()).collect()
        };
        drop(gone);
        if self.listeners.borrow().is_empty()
            && let Some(Recording { subscriptions, timer }) = self.recording.take()
        {
            timer.stop(ioloop);
            self.trace.stop(ioloop, subscriptions);
            block::unwatch(ioloop);
        }
    }

    fn record(self: &Rc<Self>, ioloop: &IoLoop) {
        if self.recording.borrow().is_some() {
            return;
        }
        let subscriptions = self.trace.start(ioloop);
        let hub = Rc::downgrade(self);
        let timer = ioloop.call_every(PERIOD, move |ioloop| {
            if let Some(hub) = hub.upgrade() {
                hub.publish_trace(ioloop);
            }
        });
        *self.recording.borrow_mut() = Some(Recording { subscriptions, timer });
        let hub = Rc::downgrade(self);
        block::watch(ioloop, move |ioloop, event| {
            hub.upgrade().iter().for_each(|hub| hub.publish(ioloop, event));
        });
    }

    fn publish_trace(&self, ioloop: &IoLoop) {
        self.trace.label("the page's own timer", true);
        if let Some(batch) = self.trace.batch() {
            self.write(ioloop, &batch, |listener| !listener.full.get());
        }
    }
}

impl Listener {
    fn write(self: &Rc<Self>, line: &[u8]) {
        match self.stream.write(line) {
            Ok(Room::Left) => {}
            Ok(Room::Full) if self.full.replace(true) => {
                // It was full before, and a browser that takes nothing would collect events here.
                self.gone.set(true);
            }
            Ok(Room::Full) => {
                let own = Rc::downgrade(self);
                self.stream.when_room(move |_| own.upgrade().iter().for_each(|own| own.full.set(false)));
            }
            Err(_) => self.gone.set(true),
        }
    }
}
