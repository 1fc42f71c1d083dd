//! Another way for `httpserver/start`: one handler of signals with a state, and a duplicate of each socket by hand.

use std::cell::Cell;
use std::net::TcpListener;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread::available_parallelism;
use std::time::Duration;

use ioloop::IoLoop;
use nix::sys::signal::Signal;
use prefork::supervise::supervise;
use prefork::{Ended, Event, Failed, Policy};

use crate::{Error, Result};

/// A server that can be started: what one process does.
pub trait Serve: Clone + 'static {
    /// Accept from these sockets on the loop of this process.
    ///
    /// # Errors
    /// The errors of [`IoLoop::add_accept_handler`].
    fn add_sockets(&self, ioloop: &IoLoop, sockets: Vec<TcpListener>) -> Result<()>;

    /// Stop gracefully: accept nothing more, end what is under way within `grace`, and then stop the loop.
    fn stop(&self, ioloop: &IoLoop, grace: Duration);
}

/// What the signals have asked for.
#[derive(Clone, Copy)]
enum State {
    Serving,
    Stopping(Signal),
}

impl State {
    /// The state after a signal.
    fn after(self, signal: Signal, ioloop: &IoLoop, stop: impl FnOnce()) -> Self {
        match self {
            Self::Serving => {
                stop();
                Self::Stopping(signal)
            }
            Self::Stopping(_) => {
                ioloop.stop();
                self
            }
        }
    }
}

/// Make a loop, and serve until a signal has stopped it.
fn run<S: Serve>(sockets: &[Rc<TcpListener>], grace: Duration, server: &S) -> Result<Ended> {
    let ioloop = IoLoop::new()?;
    let state = Rc::new(Cell::new(State::Serving));
    let (server, its) = (server.clone(), Rc::clone(&state));
    let stopped = server.clone();
    ioloop.add_signal_handler(&[Signal::SIGINT, Signal::SIGTERM], move |ioloop, signal| {
        its.set(its.get().after(signal, ioloop, || stopped.stop(ioloop, grace)));
    })?;
    let mut own = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let copy = socket.as_fd().try_clone_to_owned();
        own.push(copy.map_err(Error::on_io("fcntl(F_DUPFD_CLOEXEC)", "a listening socket"))?.into());
    }
    server.add_sockets(&ioloop, own)?;
    ioloop.start()?;
    Ok(match state.get() {
        State::Serving => Ended::Done,
        State::Stopping(signal) => Ended::Stopped(signal),
    })
}

/// Serve in this many processes until SIGTERM or SIGINT.
pub fn start(
    sockets: &[Rc<TcpListener>],
    processes: usize,
    grace: Duration,
    server: &impl Serve,
    on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    let children = match processes {
        0 => available_parallelism().map_or(1, NonZero::get),
        1 => return Ok(run(sockets, grace, server)?),
        many => many,
    };
    let policy =
        Policy { children, grace: grace.saturating_add(Duration::from_secs(1)), ..Policy::default() };
    let work = |_task| {
        if let Err(error) = run(sockets, grace, server) {
            eprintln!("httpserver: {error}");
            return 1;
        }
        0
    };
    supervise(&policy, work, on_event)
}
