//! Making a loop; and what shows that a loop works.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Current, Events, IoLoop};
use nix::unistd::{pipe, read, write};

use crate::scene::{judged, made, must_hold, or_again};

pub fn config(kind: Kind) -> Config {
    Config { poller: kind, make_current: Current::No, ..Config::default() }
}

pub fn make(kind: Kind) {
    let first = judged(|| IoLoop::with(config(kind)));
    if let Some(ioloop) = or_again(first, || IoLoop::with(config(kind))) {
        works(&ioloop);
    }
}

/// A loop for an operation, made before any call fails. What it reports is printed: see [`scene`](crate::scene).
pub fn a_loop(kind: Kind) -> (IoLoop, Reports) {
    let ioloop = made(IoLoop::with(config(kind)));
    let reports = Reports::default();
    let kept = reports.clone();
    ioloop.handle_callback_exception(move |_, failure| {
        let before = kept.0.take();
        kept.0.set([before, vec![failure.to_string()]].concat());
    });
    (ioloop, reports)
}

/// What the loop reported while calls failed.
#[derive(Clone, Default)]
pub struct Reports(Rc<Cell<Vec<String>>>);

impl Reports {
    /// Did the loop report that it cannot read its waker? Then other code has replaced the descriptor, and the loop may
    /// notice neither other threads nor signals any more.
    pub fn is_deaf(&self) -> bool {
        let texts = self.0.take();
        let deaf = texts.iter().any(|text| text.contains("the waker's eventfd"));
        self.0.set(texts);
        deaf
    }

    /// Print them.
    pub fn print(&self) {
        for text in self.0.take() {
            println!("error {}", crate::scene::one_line(text));
        }
    }
}

/// A pipe with a byte in it: a descriptor that is ready.
pub fn a_byte() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = made(pipe());
    made(write(&writer, &[7]));
    (reader, writer)
}

/// Callbacks, timers, handlers and handles of the loop do what they should.
pub fn works(ioloop: &IoLoop) {
    let steps = Rc::new(Cell::new(0));
    let add = |by: u32| {
        let steps = Rc::clone(&steps);
        move || steps.set(steps.get() + by)
    };
    let (reader, _writer) = a_byte();
    let (callback, timer, handler) = (add(1), add(10), add(100));
    ioloop.add_callback(move |_| callback());
    ioloop.call_later(Duration::from_micros(1500), move |_| timer());
    let token = ioloop.add_handler(reader, Events::READ, move |_, reader, _| {
        must_hold("a handler finds its byte", read(&*reader, &mut [0; 2]) == Ok(1));
        handler();
    });
    must_hold("a wake succeeds", ioloop.handle().wake().is_ok());
    for _ in 0..50 {
        if steps.get() == 111 {
            break;
        }
        must_hold("an iteration succeeds", ioloop.turn(Duration::from_millis(20)).is_ok());
    }
    must_hold("a callback, a timer and a handler run once each", steps.get() == 111);
    match token {
        Ok(token) => ioloop.remove_handler(token),
        Err(_) => must_hold("a handler can be added", false),
    }
}
