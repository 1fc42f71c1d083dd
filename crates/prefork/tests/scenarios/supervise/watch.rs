//! `watched WHAT …`: run a scenario under a tracer that shows some calls of the supervisor and its children.
//!
//! Prints `sleep NAME` for each call with which the supervisor sleeps, and `call PID NAME` for each call with which a child asks
//! for a signal at its parent's death, or looks at its parent.

use std::ops::ControlFlow::{Break, Continue};

use nix::libc;
use testing::tracer::{Call, start, to_call};

const SLEEPS: [&str; 7] =
    ["epoll_pwait", "epoll_pwait2", "epoll_wait", "poll", "ppoll", "pselect6", "select"];

/// Run the scenario of that name. The exit code says whether this machine permits a tracer.
pub fn watched(what: &[&str]) -> i32 {
    let scenario = || super::run(what);
    start(scenario, |supervisor| {
        let mut last = supervisor;
        loop {
            let stop = match to_call(supervisor, last, None)? {
                Continue(stop) => stop,
                Break(code) => return Ok(code),
            };
            last = stop.pid;
            if stop.answer.is_some() {
                continue;
            }
            if stop.pid != supervisor {
                if let Some(name) = name(&stop.call) {
                    println!("call {} {name}", stop.pid);
                }
            } else if SLEEPS.contains(&stop.call.name) {
                println!("sleep {}", stop.call.name);
            }
        }
    })
}

fn name(call: &Call) -> Option<&'static str> {
    match (call.name, call.args[0] as i32, call.args[1] as i32) {
        ("getppid", ..) => Some("getppid"),
        ("prctl", libc::PR_SET_PDEATHSIG, _) => Some("prctl(PR_SET_PDEATHSIG)"),
        ("fcntl", _, libc::F_SETFL) => Some("fcntl(F_SETFL)"),
        _ => None,
    }
}
