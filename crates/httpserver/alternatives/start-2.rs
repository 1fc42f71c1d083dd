//! Another way for `httpserver/start`: one handler of signals with a state, and one set of sockets that the processes share.

use std::cell::{Cell, RefCell};
use std::io::{Write, stderr};
use std::net::TcpListener;
use std::num::NonZero;
use std::rc::Rc;
use std::thread::available_parallelism;
use std::time::Duration;

use ioloop::IoLoop;
use nix::sys::signal::Signal;
use prefork::supervise::supervise;
use prefork::{Ended, Event, Failed, Policy};

use crate::Result;

/// A server that can be started: what one process does.
pub trait Serve: Clone + 'static {
    /// Accept from these sockets on the loop of this process.
    ///
    /// # Errors
    /// The errors of [`IoLoop::add_accept_handler`].
    fn add_sockets(&self, ioloop: &IoLoop, sockets: Vec<TcpListener>) -> Result<()>;

    /// Stop gracefully: accept nothing more, let requests under way finish within `grace`, and then stop the loop.
    fn stop(&self, ioloop: &IoLoop, grace: Duration);
}

/// What the signals have asked for.
#[derive(Clone, Copy)]
enum State {
    Serving,
    Stopping(Signal),
}

/// Make a loop, and serve until a signal has stopped it.
fn run<S: Serve>(
    sockets: Vec<TcpListener>,
    grace: Duration,
    server: &S,
    is_child: bool,
) -> Result<Ended> {
    let ioloop = IoLoop::new()?;
    if is_child {
        // Never dropped, so a signal that comes while the child exits finds its handler.
        std::mem::forget(ioloop.clone());
    }
    let state = Rc::new(Cell::new(State::Serving));
    let (server, its) = (server.clone(), Rc::clone(&state));
    let stopped = server.clone();
    ioloop.add_signal_handler(&[Signal::SIGINT, Signal::SIGTERM], move |ioloop, signal| {
        let is_first = matches!(its.get(), State::Serving);
        if is_first {
            its.set(State::Stopping(signal));
            stopped.stop(ioloop, grace);
        } else if !is_child {
            ioloop.stop();
        }
    })?;
    server.add_sockets(&ioloop, sockets)?;
    ioloop.start()?;
    Ok(match state.get() {
        State::Serving => Ended::Done,
        State::Stopping(signal) => Ended::Stopped(signal),
    })
}

/// Serve in this many processes until SIGTERM or SIGINT.
pub fn start(
    sockets: Vec<TcpListener>,
    processes: usize,
    grace: Duration,
    server: &impl Serve,
    mut on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    let children = match processes {
        0 => available_parallelism().map_or(1, NonZero::get),
        1 => return Ok(run(sockets, grace, server, false)?),
        many => many,
    };
    let policy =
        Policy { children, grace: grace.saturating_add(Duration::from_secs(1)), ..Policy::default() };
    let shared = Rc::new(RefCell::new(Some(sockets)));
    let own = Rc::clone(&shared);
    let work = move |_task| {
        let sockets = own.borrow_mut().take().unwrap_or_default();
        if let Err(error) = run(sockets, grace, server, true) {
            let _ = writeln!(stderr(), "httpserver: {error}");
            return 1;
        }
        0
    };
    supervise(&policy, work, move |event| {
        if matches!(event, Event::Stopping { .. }) {
            shared.replace(None);
        }
        on_event(event);
    })
}
