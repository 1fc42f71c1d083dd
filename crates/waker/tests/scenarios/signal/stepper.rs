//! A signal at every moment of the code under test, one after the other.
//!
//! A scenario runs the same code again and again between marks. The stepper records the instructions of the first
//! round. In each later round it delivers one SIGUSR1, each time a few instructions later. So a test needs neither
//! luck nor knowledge of the moment at which a signal does harm.

use std::ops::ControlFlow::{Break, Continue};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testing::tracer::{ENDED, MARK, end, next_call, to_call};

use super::{breakpoint, registers};

/// How many rounds get a signal.
pub const ROUNDS: usize = 100;

/// The most instructions of a round that are recorded. Our `new` takes some 4000; a panic takes more than can be stepped before the
/// helper's alarm goes off.
const MOST: usize = 50_000;

/// Prints the number of instructions as `steps N`, and `waits futex` if the code under test waits for a lock.
pub fn watch(scenario: Pid) -> nix::Result<i32> {
    let mut path = Vec::new();
    for round in 0..=ROUNDS {
        if let Some(code) = to_mark(scenario, None)? {
            return Ok(code);
        }
        if round == 0 {
            path = steps_to_mark(scenario)?;
            println!("steps {}", path.len());
        } else {
            let (before, rest) = path.split_at(path.len() * round / (ROUNDS + 1));
            let visit = 1 + before.iter().filter(|address| **address == rest[0]).count();
            breakpoint::run_to(scenario, rest[0], visit)?;
        }
        // The handler runs on the way to the mark after the code under test.
        if let Some(code) = to_mark(scenario, (round > 0).then_some(Signal::SIGUSR1))? {
            return Ok(code);
        }
    }
    loop {
        if let Break(code) = to_call(scenario, scenario, None)? {
            return Ok(code);
        }
    }
}

/// Steps to the next mark, and returns the address of each instruction on the way, up to [`MOST`].
fn steps_to_mark(scenario: Pid) -> nix::Result<Vec<u64>> {
    let mut path = Vec::new();
    while path.len() < MOST && next_call(scenario)? != Some(MARK) {
        path.push(registers::position(scenario)?);
        ptrace::step(scenario, None)?;
        match waitpid(scenario, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            _ => return Err(ENDED),
        }
    }
    Ok(path)
}

/// Runs to the end of the next mark. Returns an exit code if the scenario ends before that.
fn to_mark(scenario: Pid, mut deliver: Option<Signal>) -> nix::Result<Option<i32>> {
    let mut judging = deliver.is_some();
    loop {
        let stop = match to_call(scenario, scenario, deliver.take())? {
            Continue(stop) => stop,
            Break(code) => return Ok(Some(code)),
        };
        match (stop.call.name, stop.answer) {
            (MARK, Some(_)) => return Ok(None),
            (MARK, None) => judging = false,
            // The scenario has no other thread that could release a lock.
            ("futex", None) if judging => {
                println!("waits futex");
                return end(scenario).map(Some);
            }
            _ => {}
        }
    }
}
