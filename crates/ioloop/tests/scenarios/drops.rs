//! `drops WHAT`: code of the program panics, and a value that is dropped next to that panic panics, too.

use std::cell::Cell;
use std::future::poll_fn;
use std::hint;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use ioloop::{Events, IoLoop, JoinError};
use nix::sys::signal::{Signal, raise};

use super::support::{LONG, Outcome, a_byte, panics, turns};

/// Panics when it is dropped.
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        println!("dropped yes");
        panics("in the drop");
    }
}

/// A source that panics when it is dropped.
struct BadSource<S>(S, #[allow(dead_code, reason = "dropped")] Bad);

impl<S: AsFd> AsFd for BadSource<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub fn run(what: &str) -> Outcome {
    let ioloop = IoLoop::new()?;
    ioloop.handle_callback_exception(|_, failure| {
        println!("reported {failure}");
        // Its cause may have a value that panics, which is the hook's affair.
        mem::forget(failure);
    });
    match what {
        "joined" => joined(&ioloop),
        "signal" => signal(&ioloop)?,
        "periodic" => periodic(&ioloop),
        "tracer" => tracer(&ioloop),
        "traced" => traced(&ioloop),
        "subscriber" => subscriber(&ioloop),
        "handler" => handler(&ioloop)?,
        "hook" => hook(&ioloop),
        "watchdog" => watchdog(&ioloop)?,
        _ => return Err(format!("nothing is called {what}").into()),
    }
    let thrown = catch_unwind(AssertUnwindSafe(|| turns(&ioloop, 3))).err();
    let words = thrown.as_deref().and_then(|thrown| thrown.downcast_ref::<String>());
    println!("thrown {}", words.map_or("nothing", String::as_str));
    Ok(())
}

fn joined(ioloop: &IoLoop) {
    let held = Bad;
    // Not an async block, which would drop its variables while it panics.
    let task = ioloop.spawn_joined(poll_fn(move |_| -> Poll<()> {
        let _held = &held;
        panics("in the poll")
    }));
    ioloop.spawn(async move { assert_eq!(task.await, Err(JoinError::Panicked)) });
}

fn signal(ioloop: &IoLoop) -> Outcome {
    let (own, held) = (Rc::new(Cell::new(None)), Bad);
    let its = Rc::clone(&own);
    let token = ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, _| -> () {
        let _held = &held;
        its.take().into_iter().for_each(|token| ioloop.remove_signal_handler(token));
        panics("in the handler")
    })?;
    own.set(Some(token));
    raise(Signal::SIGUSR1)?;
    Ok(())
}

fn periodic(ioloop: &IoLoop) {
    let (own, held) = (Rc::new(Cell::new(None)), Bad);
    let its = Rc::clone(&own);
    let periodic = ioloop.call_every(Duration::ZERO, move |ioloop| -> () {
        let _held = &held;
        its.take().into_iter().for_each(|periodic: ioloop::Periodic| periodic.stop(ioloop));
        panics("in the callback")
    });
    own.set(Some(periodic));
}

fn tracer(ioloop: &IoLoop) {
    let (own, held) = (Rc::new(Cell::new(None)), Bad);
    let its = Rc::clone(&own);
    own.set(Some(ioloop.trace(move |ioloop, _| {
        let _held = &held;
        its.take().into_iter().for_each(|own| ioloop.unsubscribe(own));
        panics("in the tracer")
    })));
}

/// The value is what a callback throws.
fn traced(ioloop: &IoLoop) {
    let first = Cell::new(true);
    ioloop.trace(move |_, _| {
        if first.take() {
            panics("in the tracer")
        }
    });
    ioloop.add_callback(|_| -> () { resume_unwind(Box::new(Bad)) });
}

fn subscriber(ioloop: &IoLoop) {
    let (own, held) = (Rc::new(Cell::new(None)), Bad);
    let its = Rc::clone(&own);
    own.set(Some(ioloop.subscribe(move |ioloop, _| {
        let _held = &held;
        its.take().into_iter().for_each(|own| ioloop.unsubscribe(own));
        panics("in the subscriber")
    })));
}

fn handler(ioloop: &IoLoop) -> Outcome {
    ioloop.handle_callback_exception(|_, _| {
        println!("reported it failed");
        panics("in the hook")
    });
    let (reader, writer) = a_byte();
    let handler = move |ioloop: &IoLoop, _: &mut BadSource<_>, event: ioloop::Event| {
        let _open = &writer;
        ioloop.remove_handler(event.token);
        Err::<(), _>("it failed")
    };
    ioloop.add_handler(BadSource(reader, Bad), Events::READ, handler)?;
    Ok(())
}

/// The report panics, in a thread of its own.
fn watchdog(ioloop: &IoLoop) -> Outcome {
    let (held, reported) = (Bad, Arc::new(AtomicBool::new(false)));
    let reports = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(Duration::from_millis(1)), move |_| {
        let _held = &held;
        reports.store(true, Ordering::Release);
        panics("in the report")
    })?;
    ioloop.add_callback(move |ioloop| {
        let start = Instant::now();
        while !reported.load(Ordering::Acquire) && start.elapsed() < LONG {
            hint::spin_loop();
        }
        // This waits for the thread.
        ioloop.set_blocking_threshold(None, |_| ())
    });
    Ok(())
}

/// The hook replaces itself, so it is dropped when it has returned, or while its panic unwinds.
fn hook(ioloop: &IoLoop) {
    let held = Bad;
    ioloop.handle_callback_exception(move |ioloop, _| {
        let _held = &held;
        println!("reported it failed");
        ioloop.handle_callback_exception(|_, _| ());
        panics("in the hook")
    });
    ioloop.add_callback(|_| Err::<(), _>("it failed"));
}
