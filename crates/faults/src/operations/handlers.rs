//! Adding, changing and removing handlers of descriptors and of signals.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Error, Events, IoLoop, Token};
use nix::sys::signal::{Signal, raise};
use nix::unistd::read;

use super::making::{a_byte, a_loop, works};
use crate::scene::{judged, made, must_hold, or_again, returned};

/// How often something ran.
type Count = Rc<Cell<usize>>;

/// A handler on a pipe that counts how often it runs, and reads a byte each time.
fn counting(ioloop: &IoLoop, reader: &Rc<OwnedFd>, runs: &Count) -> Result<Token, Error> {
    let runs = Rc::clone(runs);
    ioloop.add_handler(Rc::clone(reader), Events::READ, move |_, reader, _| {
        runs.set(runs.get() + 1);
        must_hold("a handler that runs finds its byte", read(&*reader, &mut [0]) == Ok(1));
    })
}

/// Run some iterations, without waiting.
fn turns(ioloop: &IoLoop) {
    for _ in 0..3 {
        must_hold("an iteration succeeds", ioloop.turn(Duration::ZERO).is_ok());
    }
}

pub fn add(kind: Kind) {
    let (ioloop, _reports) = a_loop(kind);
    let ((reader, _writer), runs) = (a_byte(), Count::default());
    let reader = Rc::new(reader);
    let first = judged(|| counting(&ioloop, &reader, &runs));
    or_again(first, || counting(&ioloop, &reader, &runs));
    turns(&ioloop);
    must_hold("the handler runs once for its byte", runs.get() == 1);
    works(&ioloop);
}

pub fn update(kind: Kind) {
    let (ioloop, _reports) = a_loop(kind);
    let ((reader, _writer), runs) = (a_byte(), Count::default());
    let token = made(counting(&ioloop, &Rc::new(reader), &runs));
    made(ioloop.update_handler(token, Events::empty()));
    let first = judged(|| ioloop.update_handler(token, Events::READ));
    or_again(first, || ioloop.update_handler(token, Events::READ));
    turns(&ioloop);
    must_hold("the updated handler runs once for its byte", runs.get() == 1);
    works(&ioloop);
}

pub fn pause_and_resume(kind: Kind) {
    let (ioloop, _reports) = a_loop(kind);
    let ((reader, _writer), runs) = (a_byte(), Count::default());
    let token = made(counting(&ioloop, &Rc::new(reader), &runs));
    let both = || ioloop.pause_handler(token).and_then(|()| ioloop.resume_handler(token));
    let first = judged(both);
    or_again(first, both);
    turns(&ioloop);
    must_hold("the resumed handler runs once for its byte", runs.get() == 1);
    works(&ioloop);
}

pub fn remove(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let (runs, others) = (Count::default(), Count::default());
    let ((reader, writer), (other, _its)) = (a_byte(), a_byte());
    let reader = Rc::new(reader);
    let source = Rc::downgrade(&reader);
    let token = made(counting(&ioloop, &reader, &runs));
    made(counting(&ioloop, &Rc::new(other), &others));
    drop(reader);
    judged(|| ioloop.remove_handler(token));
    println!("ok");
    must_hold("the source is closed", source.strong_count() == 0);
    // A second reader would keep it open.
    must_hold("the descriptor is closed", nix::unistd::write(&writer, &[7]).is_err());
    turns(&ioloop);
    must_hold("a removed handler does not run", runs.get() == 0);
    must_hold("the other handler runs once for its byte", others.get() == 1);
    works(&ioloop);
    reports.print();
}

fn on_usr1(ioloop: &IoLoop, runs: &Count) -> Result<ioloop::SignalToken, Error> {
    let runs = Rc::clone(runs);
    ioloop.add_signal_handler(&[Signal::SIGUSR1, Signal::SIGUSR2], move |_, _| runs.set(runs.get() + 1))
}

pub fn add_signal(kind: Kind) {
    let (ioloop, _reports) = a_loop(kind);
    let runs = Count::default();
    let first = judged(|| on_usr1(&ioloop, &runs));
    if let Some(token) = or_again(first, || on_usr1(&ioloop, &runs)) {
        made(raise(Signal::SIGUSR1));
        turns(&ioloop);
        must_hold("the handler of the signal runs once", runs.get() == 1);
        ioloop.remove_signal_handler(token);
    }
    works(&ioloop);
}

pub fn remove_signal(kind: Kind) {
    let (ioloop, _reports) = a_loop(kind);
    let runs = Count::default();
    let token = made(on_usr1(&ioloop, &runs));
    judged(|| ioloop.remove_signal_handler(token));
    println!("ok");
    must_hold("the signals can be owned again", returned(on_usr1(&ioloop, &runs)).is_some());
    works(&ioloop);
}
