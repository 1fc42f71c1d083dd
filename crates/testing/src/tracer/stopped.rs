//! Whether a process that was stopped by a signal keeps its signal handlers until it exits.

use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{start, to_call};
use crate::proc::survives;

/// The calls in which a process waits for events.
const WAITS: [&str; 7] = ["epoll_pwait", "epoll_pwait2", "epoll_wait", "poll", "ppoll", "pselect6", "select"];

/// Run the scenario, and send SIGTERM to each process that it forks, once that process waits for events and handles SIGTERM.
/// Print `exits PID` for a process that neither SIGINT nor SIGTERM could kill from then on until its exit. For another, print
/// `open CALL`, with the first system call at which one of them could. Gives the exit code of the scenario.
pub fn stopped(scenario: impl FnOnce() -> i32) -> i32 {
    start(scenario, watch)
}

fn watch(scenario: Pid) -> nix::Result<i32> {
    let (mut seen, mut stopping, mut pid) = (BTreeSet::from([scenario]), BTreeSet::new(), scenario);
    loop {
        let stop = match to_call(scenario, pid, None)? {
            Continue(stop) => stop,
            Break(code) => return Ok(code),
        };
        pid = stop.pid;
        if stopping.contains(&pid) {
            let is_safe = survives(pid, &[Signal::SIGINT, Signal::SIGTERM]);
            if !is_safe {
                println!("open {}", stop.call.name);
            } else if stop.call.name == "exit_group" {
                println!("exits {pid}");
            }
            if !is_safe || stop.call.name == "exit_group" {
                stopping.remove(&pid);
            }
        } else if stop.answer.is_none()
            && WAITS.contains(&stop.call.name)
            && !seen.contains(&pid)
            && survives(pid, &[Signal::SIGTERM])
        {
            match kill(pid, Signal::SIGTERM) {
                Ok(()) | Err(Errno::ESRCH) => {} // killed meanwhile
                Err(error) => return Err(error),
            }
            seen.insert(pid);
            stopping.insert(pid);
        }
    }
}
