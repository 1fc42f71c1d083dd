//! Closing a loop that has one of everything.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Events, IoLoop};
use nix::sys::signal::{SigHandler, Signal, signal};

use super::making::{a_byte, a_loop, config};
use crate::scene::{judged, made, must_hold};

pub fn close(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let (reader, _writer) = a_byte();
    let kept: Rc<OwnedFd> = Rc::new(reader);
    let copy = || Rc::clone(&kept);
    made(ioloop.add_handler(copy(), Events::READ, |_, _, _| {}));
    let (callback, timer, task, handler) = (copy(), copy(), copy(), copy());
    ioloop.add_callback(move |_| drop(callback));
    ioloop.call_later(Duration::from_secs(1), move |_| drop(timer));
    ioloop.spawn(async move {
        std::future::pending::<()>().await;
        drop(task);
    });
    let signals = ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| {
        let _ = &handler;
    });
    made(signals);
    judged(|| ioloop.close());
    println!("ok");
    must_hold("a closed loop drops everything", Rc::strong_count(&kept) == 1);
    // SAFETY: the default disposition runs no code.
    let restored = unsafe { signal(Signal::SIGUSR1, SigHandler::SigDfl) };
    if !matches!(restored, Ok(SigHandler::SigDfl)) {
        println!("ok: the signal still has the loop's handler, which does nothing");
    }
    reports.print();
    drop(ioloop);
    must_hold("another loop can be made", IoLoop::with(config(kind)).is_ok());
}
