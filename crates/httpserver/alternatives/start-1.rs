//! Another way for `httpserver/start`: a handler for each signal that counts, and a struct for one process.

use std::cell::{OnceCell, RefCell};
use std::io::{self, Write};
use std::net::TcpListener;
use std::rc::Rc;
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

/// What a process needs.
struct Process<'a, S> {
    /// In a child, its own copy of them.
    sockets: RefCell<Vec<TcpListener>>,
    /// Not in `run`, because a child must have the handlers of its signals until it exits.
    ioloop: OnceCell<IoLoop>,
    grace: Duration,
    server: &'a S,
    is_child: bool,
}

impl<S: Serve> Process<'_, S> {
    /// Serve, and return the first signal.
    fn run(&self) -> Result<Option<Signal>> {
        let made = IoLoop::new()?;
        let ioloop = self.ioloop.get_or_init(|| made);
        let signals: Rc<RefCell<Vec<Signal>>> = Rc::default();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let (signals, server) = (Rc::clone(&signals), self.server.clone());
            let (grace, is_child) = (self.grace, self.is_child);
            ioloop.add_signal_handler(&[signal], move |ioloop, signal| {
                signals.borrow_mut().push(signal);
                let count = signals.borrow().len();
                if count == 1 {
                    server.stop(ioloop, grace);
                } else if !is_child {
                    ioloop.stop();
                }
            })?;
        }
        self.server.add_sockets(ioloop, self.sockets.take())?;
        ioloop.start()?;
        let first = signals.borrow().first().copied();
        Ok(first)
    }
}

/// Serve in this many processes until SIGTERM or SIGINT.
pub fn start(
    sockets: Vec<TcpListener>,
    processes: usize,
    grace: Duration,
    server: &impl Serve,
    mut on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    let (sockets, ioloop, is_child) = (RefCell::new(sockets), OnceCell::new(), processes != 1);
    let process = Process { sockets, ioloop, grace, server, is_child };
    match processes {
        1 => Ok(process.run()?.map_or(Ended::Done, Ended::Stopped)),
        children => {
            let grace = grace.saturating_add(Duration::from_millis(1500));
            let policy = Policy { children, grace, ..Policy::default() };
            let child = |_| {
                process.run().map_or_else(
                    |error| {
                        let _ = io::stderr().write_all(format!("httpserver: {error}\n").as_bytes());
                        1
                    },
                    |_| 0,
                )
            };
            supervise(&policy, child, |event| {
                if matches!(event, Event::Stopping { .. }) {
                    process.sockets.borrow_mut().clear();
                }
                on_event(event);
            })
        }
    }
}
