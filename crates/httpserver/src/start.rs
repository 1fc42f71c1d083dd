//! Starting a server: sockets, processes, loops, in the only order that works.
//!
//! Contract: the sockets are bound before the processes are forked, so that all of them accept from the same ones. A loop is made
//! after the fork, because an epoll instance that two processes share reports the one's clients to the other. Signals have
//! their handlers before the first client is accepted, so from then on a SIGTERM stops gracefully. Ctrl-C signals parent and
//! children together, and the parent forwards the signal, so a child gets it twice. It still stops gracefully, even if the
//! second one comes while it exits. A child that fails is restarted with the same sockets. Once the server stops, no process
//! has them open, so a client that comes then is refused at once, and does not wait for an accept that never comes.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;
use nix::sys::signal::Signal;
use prefork::supervise::supervise;
use prefork::{Ended, Event, Failed, Policy};

use crate::Result;

// ANCHOR: serve
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
// ANCHOR_END: serve

/// How much longer than its children a supervisor waits at least.
const MARGIN: Duration = Duration::from_millis(500);

// ANCHOR: start
/// Serve in this many processes until SIGTERM or SIGINT: 0 means one for each core, and 1 means this process, without a child. At
/// the first signal, the server stops gracefully, within `grace`; at the second, at once. Returns the first signal. `on_event`
/// gets what happens to the children. The sockets must be nonblocking, and are closed when the server stops. A child exits
/// without dropping its loop, so what the loop owns is not dropped either.
///
/// # Errors
/// The errors of [`supervise`] and of a loop; for 1 process, those of [`Serve::add_sockets`], too.
pub fn start(
    sockets: Vec<TcpListener>,
    processes: usize,
    grace: Duration,
    server: &impl Serve,
    mut on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    if processes == 1 {
        return Ok(Ended::Stopped(serve(&IoLoop::new()?, sockets, grace, server, IoLoop::stop)?));
    }
    let policy = Policy { children: processes, grace: grace.saturating_add(MARGIN), ..Policy::default() };
    // A child ignores further signals, because Ctrl-C sends it one, and then `supervise` forwards another. If the user signals
    // again, `supervise` kills the children. A child takes the sockets out of its own copy of the memory of this process,
    // which keeps its copy for the next child.
    let sockets = RefCell::new(sockets);
    let child = |_| {
        // Never dropped: that would remove the handlers of the signals, and a signal that is forwarded while this process
        // exits would kill it.
        let ioloop = IoLoop::new().map(ManuallyDrop::new);
        match ioloop.and_then(|ioloop| serve(&ioloop, sockets.take(), grace, server, |_| {})) {
            Ok(_) => 0,
            Err(error) => {
                // Not `eprintln!`, which panics if no process reads the standard error: the child would exit with 101.
                let _ = writeln!(io::stderr(), "httpserver: {error}");
                1
            }
        }
    };
    supervise(&policy, child, |event| {
        if let Event::Stopping { .. } = event {
            drop(sockets.take());
        }
        on_event(event);
    })
}

/// Serve on this loop until a signal comes, and return this signal. Calls `again` at each further signal.
fn serve(
    ioloop: &IoLoop,
    sockets: Vec<TcpListener>,
    grace: Duration,
    server: &impl Serve,
    again: impl Fn(&IoLoop) + 'static,
) -> Result<Signal> {
    let stopped_by = Rc::new(Cell::new(None));
    let (server_to_stop, by) = (server.clone(), Rc::clone(&stopped_by));
    ioloop.add_signal_handler(&[Signal::SIGTERM, Signal::SIGINT], move |ioloop, signal| match by.get() {
        None => {
            by.set(Some(signal));
            server_to_stop.stop(ioloop, grace);
        }
        Some(_) => again(ioloop),
    })?;
    server.add_sockets(ioloop, sockets)?;
    ioloop.start()?;
    // If other code stopped the loop, there was no signal, and that is no failure either.
    Ok(stopped_by.get().unwrap_or(Signal::SIGTERM))
}
// ANCHOR_END: start
