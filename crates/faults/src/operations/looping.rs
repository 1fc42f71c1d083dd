//! An iteration of a loop, and what wakes its sleep: another thread, and a signal.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Events, IoLoop};
use nix::sys::signal::{Signal, raise};

use super::making::{a_byte, a_loop, works};
use crate::scene::{judged, made, must_hold, one_line};

/// Run an iteration until one succeeds.
fn iterations(ioloop: &IoLoop, longest: Duration) {
    let failed = (0..3).filter_map(|_| ioloop.turn(longest).err()).collect::<Vec<_>>();
    for error in failed {
        println!("error {}", one_line(error));
    }
}

pub fn turn(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let (reader, _writer) = a_byte();
    let ran = [(); 3].map(|()| Rc::new(Cell::new(0)));
    let [callback, timer, handler] = ran.clone();
    ioloop.add_callback(move |_| callback.set(callback.get() + 1));
    ioloop.call_later(Duration::from_micros(1500), move |_| timer.set(timer.get() + 1));
    // Once, so that it need not read: that would be a call of this operation.
    let once = Events::READ | Events::ONESHOT;
    made(ioloop.add_handler(reader, once, move |_, _, _| handler.set(handler.get() + 1)));
    judged(|| iterations(&ioloop, Duration::from_millis(5)));
    println!("ok");
    for _ in 0..3 {
        must_hold("an iteration succeeds", ioloop.turn(Duration::from_millis(5)).is_ok());
    }
    must_hold("a callback, a timer and a handler run once each", ran.iter().all(|ran| ran.get() == 1));
    reports.print();
    works(&ioloop);
}

pub fn wake(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let ran = Arc::new(AtomicUsize::new(0));
    let (go, gone) = channel();
    let (end, ended) = channel::<()>();
    let (handle, runs) = (ioloop.handle(), Arc::clone(&ran));
    let thread = thread::spawn(move || {
        let _: Result<(), _> = gone.recv();
        let sent = handle.add_callback(move |ioloop| {
            runs.fetch_add(1, Ordering::Relaxed);
            ioloop.stop();
        });
        // The callback is queued even then, and needs a wake.
        let again = sent.as_ref().map_or_else(|_| handle.wake(), |()| Ok(()));
        // Exiting needs system calls too.
        let _: Result<(), _> = ended.recv();
        (sent, again)
    });
    // Where no wake succeeds.
    ioloop.call_later(Duration::from_millis(100), IoLoop::stop);
    let started = judged(|| {
        let _ = go.send(());
        ioloop.start()
    });
    drop(end);
    let (sent, again) = thread.join().unwrap_or((Ok(()), Ok(())));
    for error in [started, sent, again].into_iter().filter_map(Result::err) {
        println!("error {}", one_line(error));
    }
    println!("ok");
    for _ in 0..3 {
        must_hold("a wake succeeds", ioloop.handle().wake().is_ok());
        must_hold("an iteration succeeds", ioloop.turn(Duration::ZERO).is_ok());
    }
    let ran = ran.load(Ordering::Relaxed);
    must_hold("a callback that was sent runs once", ran == 1 || ran == 0 && reports.is_deaf());
    reports.print();
    works(&ioloop);
}

pub fn signal(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let ran = Rc::new(Cell::new(0));
    let runs = Rc::clone(&ran);
    let token = made(ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| runs.set(runs.get() + 1)));
    judged(|| {
        let _ = raise(Signal::SIGUSR1);
        iterations(&ioloop, Duration::from_millis(5));
    });
    println!("ok");
    for _ in 0..3 {
        // The next wake of any kind finds a signal whose own wake failed.
        must_hold("a wake succeeds", ioloop.handle().wake().is_ok());
        must_hold("an iteration succeeds", ioloop.turn(Duration::ZERO).is_ok());
    }
    let deaf = reports.is_deaf();
    must_hold("the handler of the signal runs once", ran.get() == 1 || deaf);
    made(raise(Signal::SIGUSR1));
    for _ in 0..3 {
        must_hold("an iteration succeeds", ioloop.turn(Duration::from_millis(5)).is_ok());
    }
    must_hold("the handler runs for the next signal", ran.get() == 2 || deaf);
    ioloop.remove_signal_handler(token);
    reports.print();
    works(&ioloop);
}
