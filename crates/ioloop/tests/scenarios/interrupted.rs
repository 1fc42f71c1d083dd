//! `interrupted POLLER`: a signal that the loop does not handle comes while it sleeps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, IoLoop};
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use super::support::{Log, Outcome};

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

pub fn run(poller: Kind) -> Outcome {
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments a counter.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    let to_us = SigevNotify::SigevSignal { signal: Signal::SIGUSR1, si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to_us))?;
    let after = Expiration::OneShot(TimeSpec::from_duration(Duration::from_millis(10)));

    let events = Log::default();
    let seen = events.clone();
    ioloop.subscribe(move |_, iteration| seen.add(iteration.events));
    let deadline = ioloop.time() + Duration::from_millis(60);
    ioloop.call_at(deadline, IoLoop::stop);
    timer.set(after, TimerSetTimeFlags::empty())?;
    let ended = ioloop.start();
    println!("handled {} signal", HANDLED.load(Ordering::Relaxed));
    println!("events {}", events.take().iter().sum::<usize>());
    println!("timer {}", if ioloop.time() >= deadline { "not early" } else { "early" });
    println!("ended {}", ended.map_or_else(|error| error.to_string(), |()| "Ok".into()));
    Ok(())
}
