//! A handler that has looked up its descriptor and not written yet, while another thread drops the owner.
//!
//! The tracer holds the handler's thread before its write, and then steps the thread that drops through `drop`. A `drop`
//! that waits for the handler goes nowhere; any other one closes the descriptor or returns. So a test needs no luck.

use std::ops::ControlFlow::{Break, Continue};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testing::tracer::{ENDED, MARK, next_call, to_call};

use super::registers;

/// How many instructions of `drop` are executed while the handler is held. A `drop` that does not wait takes about 1000.
const STEPS: usize = 6000;

/// Prints `handler wrote nothing` if it never comes to its write, or else `drop …`: `waits`, `returned` or `closed`.
pub fn watch(scenario: Pid) -> nix::Result<i32> {
    let (mut dropping, mut handler) = (false, None);
    let mut resume = Some(scenario);
    while !dropping || handler.is_none() {
        let stop = match to_call(scenario, resume, None)? {
            Continue(stop) => stop,
            Break(code) => return Ok(code),
        };
        resume = Some(stop.pid);
        match (stop.pid == scenario, stop.call.name, stop.answer) {
            (true, MARK, Some(_)) => (dropping, resume) = (true, None),
            (false, "write", None) => (handler, resume) = (Some((stop.pid, stop.call.args[0])), None),
            (false, MARK, None) => {
                println!("handler wrote nothing");
                break;
            }
            _ => {}
        }
    }
    if let Some((thread, descriptor)) = handler {
        println!("drop {}", what_drop_does(scenario, descriptor)?);
        ptrace::syscall(thread, None)?;
    }
    if dropping {
        ptrace::syscall(scenario, None)?;
    }
    loop {
        match to_call(scenario, resume, None)? {
            Continue(stop) => resume = Some(stop.pid),
            Break(code) => return Ok(code),
        }
    }
}

fn what_drop_does(scenario: Pid, descriptor: u64) -> nix::Result<&'static str> {
    for _ in 0..STEPS {
        match next_call(scenario)? {
            Some(MARK) => return Ok("returned"),
            Some("close") if registers::first_argument(scenario)? == descriptor => return Ok("closed"),
            // It sleeps until the handler has finished, so a step would not end.
            Some("futex") => break,
            _ => {}
        }
        ptrace::step(scenario, None)?;
        match waitpid(scenario, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            _ => return Err(ENDED),
        }
    }
    Ok("waits")
}
