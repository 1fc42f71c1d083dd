//! The workers of a server: which processes they are, and stopping one for a while.

use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::state::{PATIENCE, children, is_traced, shown, sleeps, state_in};
use crate::verdict::{Result, cannot_ask};

/// The children of a server, which is a child of this process, in the order of their forks, once there are `n` of them that
/// sleep.
pub fn workers(server: Pid, n: usize) -> Result<Vec<Pid>> {
    let start = Instant::now();
    let has_exited = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while start.elapsed() < PATIENCE && waitid(Id::Pid(server), has_exited)? == WaitStatus::StillAlive {
        let workers = children(server)?;
        // One that has just exited is in the list, and has no state any more.
        if workers.len() == n && workers.iter().all(|worker| sleeps(*worker).unwrap_or(false)) {
            return Ok(workers);
        }
        thread::yield_now();
    }
    Err(format!("the server does not have {n} workers that sleep").into())
}

/// Stop a process with SIGSTOP, and wait until it has stopped: from then on it accepts and reads nothing, until SIGCONT.
pub fn stop(pid: Pid) -> Result {
    if is_traced(pid)? {
        return Err(cannot_ask("a process is traced, so that its tracer stops it, too"));
    }
    kill(pid, Signal::SIGSTOP)?;
    let start = Instant::now();
    while state_in(&shown(pid, "stat")?) != Some('T') {
        if start.elapsed() > PATIENCE {
            return Err(format!("process {pid} did not stop").into());
        }
        thread::yield_now();
    }
    Ok(())
}
