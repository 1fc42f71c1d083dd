//! A watchdog is dropped, and its reporter runs as soon as it is notified.

use std::ops::ControlFlow::{Break, Continue};

use nix::sys::ptrace;
use nix::unistd::{Pid, getppid};
use testing::proc::state;
use testing::tracer::{MARK, to_call};

use super::sharing::threads;
use super::*;

/// The calls with which a reporter waits again, or ends.
const WAITS: [&str; 8] = ["read", "readv", "poll", "ppoll", "select", "epoll_wait", "futex", "exit"];

/// The reporter sleeps, and then comes the drop, between two marks.
pub fn dropped() -> Outcome {
    let before = threads()?;
    let watch = Watchdog::new(SHORT, |_| ())?;
    for reporter in threads()?.into_iter().filter(|thread| !before.contains(thread)) {
        spin(&|| state(reporter) == Some('S'));
    }
    step("the watchdog is dropped, and its reporter runs as soon as it is notified");
    getppid();
    drop(watch);
    getppid();
    println!("dropped well");
    Ok(())
}

/// Follow the scenario. After each write(2) between the marks, its first thread stands until another one waits again or ends.
pub fn hold(scenario: Pid) -> nix::Result<i32> {
    let (mut judging, mut holds, mut resumed) = (false, false, Some(scenario));
    loop {
        let stop = match to_call(scenario, resumed, None)? {
            Continue(stop) => stop,
            Break(code) => return Ok(code),
        };
        resumed = Some(stop.pid);
        let name = stop.call.name;
        if stop.pid == scenario {
            judging ^= name == MARK && stop.answer.is_some();
            holds = judging && name == "write" && stop.answer.is_some();
            resumed = resumed.filter(|_| !holds);
        } else if holds && stop.answer.is_none() && WAITS.contains(&name) {
            ptrace::syscall(stop.pid, None)?;
            (holds, resumed) = (false, Some(scenario));
        }
    }
}
