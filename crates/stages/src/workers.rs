//! The second way to start, which stage 7 is the first to use: one call that serves in this process, or forks workers.

// ANCHOR: workers
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::{env, io, mem};

use prefork::Policy;
use prefork::sockets::{Options, bind_all};
use prefork::supervise::supervise;

use crate::request::announce;

/// Listens on a port of 127.0.0.1, and serves in as many processes as the variable `PROCESSES` says. 1, which is the
/// default, does not fork, and 0 means a worker for each core. Each process calls `serve`, after the fork, so what belongs
/// to one process is made there, for example the loop. `serve` returns the loop, because a worker needs it until it exits.
///
/// # Errors
/// `EADDRINUSE` if the port is taken; the errors of `serve` in a process that does not fork.
pub fn start<L>(port: u16, serve: impl Fn(TcpListener) -> io::Result<L>) -> io::Result<()> {
    start_announced(port, announce, serve)
}

/// Does the same, and `announce` prints the address.
pub fn start_announced<L>(
    port: u16,
    announce: fn(SocketAddr),
    serve: impl Fn(TcpListener) -> io::Result<L>,
) -> io::Result<()> {
    let number = env::var("PROCESSES").unwrap_or_else(|_| "1".into());
    let wrong = |_| io::Error::other(format!("PROCESSES must be a number, not {number:?}"));
    let children = number.parse().map_err(wrong)?;
    let mut listeners = bind_all(&[(Ipv4Addr::LOCALHOST, port).into()], &Options::default())?;
    let listener = listeners.remove(0);
    announce(listener.local_addr()?);
    if children == 1 {
        return serve(listener).map(drop);
    }
    let work = |task| match listener.try_clone().and_then(&serve) {
        Ok(event_loop) => {
            // A loop that is dropped removes its signal handlers, and a signal that is forwarded now would kill the worker.
            mem::forget(event_loop);
            0
        }
        Err(error) => {
            eprintln!("worker {task}: {error}");
            1
        }
    };
    let policy = Policy { children, ..Policy::default() };
    supervise(&policy, work, |event| eprintln!("{event:?}")).map(drop).map_err(io::Error::other)
}
// ANCHOR_END: workers
