//! The second way to start, which stage 7 is the first to use: one call that serves in this process, or forks workers.

// ANCHOR: workers
use std::net::TcpListener;
use std::{env, io};

use prefork::Policy;
use prefork::supervise::supervise;

use crate::stage_2::listen_on;

/// Listens on a port of 127.0.0.1, and serves in as many processes as the variable `PROCESSES` says: 1, the default, does not fork, and 0 means a worker for
/// each core. Everything that belongs to one process, such as a loop, must be made in `serve`, which is after the fork.
pub fn start(port: u16, serve: impl Fn(TcpListener) -> io::Result<()>) -> io::Result<()> {
    let listener = TcpListener::from(listen_on(port)?);
    listener.set_nonblocking(true)?;
    let processes = env::var("PROCESSES").map_or(Ok(1), |number| number.parse());
    let children = processes.map_err(|_| io::Error::other("PROCESSES must be a number"))?;
    if children == 1 {
        return serve(listener);
    }
    let work = |task| match listener.try_clone().and_then(&serve) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("worker {task}: {error}");
            1
        }
    };
    supervise(&Policy { children, ..Policy::default() }, work, |_| {}).map(drop).map_err(io::Error::other)
}
// ANCHOR_END: workers
