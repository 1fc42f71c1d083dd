//! The wakers of the crate `waker`, without a loop.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use waker::Wake;
use waker::coalesced::Coalesced;
use waker::signal::SignalWaker;

use crate::scene::{judged, made, must_hold, or_again};

fn is_ready(waker: impl AsFd) -> bool {
    let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) == Ok(1)
}

/// Wake and consume, each again after an error.
fn twice<W: Wake>(waker: &W, is_ready: impl Fn(&W) -> bool) {
    for _ in 0..2 {
        or_again(judged(|| waker.wake()), || waker.wake());
        must_hold("a waker is ready after a wake", is_ready(waker));
        or_again(judged(|| waker.consume()), || waker.consume());
        if is_ready(waker) {
            println!("ok: a poller reports it once more");
            must_hold("a waker can be consumed again", waker.consume().is_ok());
        }
        must_hold("a waker is not ready after it was consumed", !is_ready(waker));
    }
}

pub fn pipe() {
    if let Some(waker) = or_again(judged(waker::pipe::Waker::new), waker::pipe::Waker::new) {
        twice(&waker, |waker| is_ready(waker));
        judged(|| waker.close());
    }
}

pub fn eventfd() {
    if let Some(waker) = or_again(judged(waker::eventfd::Waker::new), waker::eventfd::Waker::new) {
        twice(&waker, |waker| is_ready(waker));
        judged(|| waker.close());
    }
}

pub fn coalesced() {
    let waker = Coalesced::new(made(waker::eventfd::Waker::new()));
    twice(&waker, |waker| is_ready(waker.get_ref()));
}

pub fn signal() {
    let waker = made(waker::eventfd::Waker::new());
    let own = || SignalWaker::new(waker.writer(), &[Signal::SIGUSR1, Signal::SIGUSR2]);
    let Some(signals) = or_again(judged(own), own) else { return };
    let _ = judged(|| raise(Signal::SIGUSR1));
    // Where the handler's own wake failed, the set still has the signal, for whichever wake is next.
    if !is_ready(&waker) {
        println!("ok: not woken");
    }
    must_hold("the signal is in the set", signals.take().contains(Signal::SIGUSR1));
    must_hold("the waker can be consumed", waker.consume().is_ok());
    made(raise(Signal::SIGUSR1));
    must_hold("the next signal wakes", is_ready(&waker));
    judged(|| drop(signals));
    must_hold("the signals can be owned again", own().is_ok());
}
