//! `watched WHOM WHAT …`: run a scenario under a tracer that shows some calls of the supervisor, or of its children.
//!
//! Prints `sleep NAME` for each call with which the supervisor sleeps; or `call PID NAME` for each call with which a child
//! asks for a signal at its parent's death, or looks at its parent.

use std::ops::ControlFlow::{Break, Continue};

use nix::libc;
use nix::sys::ptrace;
use testing::tracer::{Call, start, to_call, unless_killed};

const SLEEPS: [&str; 7] =
    ["epoll_pwait", "epoll_pwait2", "epoll_wait", "poll", "ppoll", "pselect6", "select"];

/// Run a scenario under the tracer. The exit code says whether this machine permits one.
pub fn watched(whom: &str, what: &[&str]) -> i32 {
    let scenario = || super::run(what);
    start(scenario, |supervisor| {
        let mut last = Some(supervisor);
        loop {
            let stop = match to_call(supervisor, last, None)? {
                Continue(stop) => stop,
                Break(code) => return Ok(code),
            };
            last = Some(stop.pid);
            if stop.pid != supervisor && whom == "supervisor" {
                // The pidfd of a traced child is readable before its parent can reap it: the tracer must reap it first. The
                // supervisor would not sleep meanwhile.
                unless_killed(ptrace::detach(stop.pid, None))?;
                last = None;
            } else if stop.answer.is_some() {
                // Each call is shown once, when it begins.
            } else if stop.pid == supervisor {
                if SLEEPS.contains(&stop.call.name) {
                    println!("sleep {}", stop.call.name);
                }
            } else if let Some(name) = name(&stop.call) {
                println!("call {} {name}", stop.pid);
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
