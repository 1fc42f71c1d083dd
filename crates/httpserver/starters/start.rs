//! Exercise `httpserver/start`: start a server in one process or in many.
//!
//! Goal: with 1 process, `start` serves in this process, without a child; with others it forks so many children, 0
//! meaning one for each core, and supervises them. All of them accept from all sockets, which were bound before. Each
//! process has a loop of its own. The sockets stay close-on-exec. When the server stops, no process keeps them open,
//! this one included, so a client that comes then is refused and does not wait; and when `start` returns, all that it
//! opened is closed. SIGTERM and SIGINT call `stop`, once, with the grace period, even if they come before the first
//! client. In this process, a second signal, of either kind, ends the grace period at once, even if `stop` panicked; if
//! there are children, `supervise` kills them then. Ctrl-C signals parent and children together, and the parent forwards
//! the signal, so a child gets it twice: a child ignores each signal after its first one. Such a signal must not kill the
//! child either, however late it comes, so a child keeps its handlers until it exits, even after an error. A child that
//! stops so exits with 0, and `start` returns `Ended::Stopped` with the first signal. A child that cannot serve says why
//! on the standard error and exits with 1, even if nothing reads the standard error; this process returns the error
//! instead, also that of a signal that has an owner already, and that of the loop. A child may use its whole grace
//! period, so the supervisor waits at least half a second longer before it kills the child. The grace period may
//! be `Duration::MAX`.
//!
//! You call `prefork::supervise::supervise` and `IoLoop::add_signal_handler`. Run `cargo workbook
//! check start` after each change; `hint start` if you are stuck.

use std::net::TcpListener;
use std::time::Duration;

use ioloop::IoLoop;
use prefork::{Ended, Event, Failed};

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

/// Serve in this many processes until SIGTERM or SIGINT: 0 means one for each core, and 1 means this process, without a child. At
/// the first signal, the server stops gracefully, within `grace`; at the second, at once. Returns the first signal. `on_event`
/// gets what happens to the children. The sockets must be nonblocking, and are closed when the server stops.
pub fn start(
    sockets: Vec<TcpListener>,
    processes: usize,
    grace: Duration,
    server: &impl Serve,
    on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    let _ = (sockets, grace, server, on_event);
    todo!("serve in {processes} processes: write `start` in exercises/start.rs")
}
