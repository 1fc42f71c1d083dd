//! Forking a child, and supervising children.

use std::time::Duration;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SigHandler, Signal, raise, signal};
use nix::unistd::pause;
use prefork::fork::fork;
use prefork::status::Status;
use prefork::supervise::supervise;
use prefork::{Ended, Event, Policy};

use crate::scene::{judged, made, must_hold, or_again, returned};

pub fn fork_and_wait() {
    let seven = || fork(|| 7);
    let Some(mut child) = or_again(judged(seven), seven) else { return };
    match judged(|| child.wait()) {
        // Other code has reaped it.
        Err(error) if error.errno == Errno::ECHILD && child.wait().is_err() => println!("error {error}"),
        status => {
            let status = or_again(status, || child.wait());
            must_hold("the child exits with the closure's number", status == Some(Status::Exited(7)));
        }
    }
}

fn policy() -> Policy {
    Policy {
        children: 2,
        max_restarts: 3,
        grace: Duration::from_millis(200),
        pause: Duration::from_millis(1),
        ..Policy::default()
    }
}

/// Print what the supervisor reported, if a child failed.
fn print(events: &[Event]) {
    for event in events {
        match event {
            Event::Exited { status, .. } if !status.is_success() => println!("ok: a child {status}"),
            Event::Restarted { .. } => println!("ok: restarted"),
            Event::Killed { .. } => println!("ok: killed after the grace period"),
            _ => {}
        }
    }
}

pub fn until_done() {
    let mut events = Vec::new();
    let ended = judged(|| supervise(&policy(), |_| 0, |event| events.push(event)));
    print(&events);
    match ended {
        Err(_) => {
            let again = || supervise(&policy(), |_| 0, |_| {});
            must_hold("a second supervisor works", or_again(ended, again) == Some(Ended::Done));
        }
        Ok(ended) => {
            println!("ok");
            must_hold("every task is done", ended == Ended::Done);
            let done = events
                .iter()
                .filter(|event| matches!(event, Event::Exited { status, .. } if status.is_success()));
            must_hold("both children succeed in the end", done.count() == 2);
        }
    }
}

pub fn until_stopped() {
    // An error ends the supervisor before it has read the signal. The children do not inherit the handler.
    let handler = SigHandler::Handler(nothing);
    // SAFETY: the handler does nothing.
    made(unsafe { signal(Signal::SIGTERM, handler) });
    let (mut events, mut running) = (Vec::new(), 0);
    let work = |_| {
        // Until SIGTERM, which kills it.
        pause();
        0
    };
    let ended = judged(|| {
        supervise(&policy(), work, |event| {
            running += usize::from(matches!(event, Event::Started { .. }));
            // Blocked here, so it is pending when the supervisor looks.
            if running == 2 && matches!(event, Event::Started { .. }) {
                let _ = raise(Signal::SIGTERM);
            }
            events.push(event);
        })
    });
    print(&events);
    if let Some(ended) = returned(ended) {
        must_hold("the supervisor was stopped by the signal", ended == Ended::Stopped(Signal::SIGTERM));
    }
}

extern "C" fn nothing(_: c_int) {}
