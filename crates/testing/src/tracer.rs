//! A simulated kernel: run a scenario under ptrace, and answer some of its system calls in the kernel's place.
//!
//! Code has to be right on kernels that this machine does not have: one with another flag, one without a certain call,
//! one that interrupts calls. A [`Kernel`] says how the simulated kernel differs from the real one. Each call for which
//! it has words becomes a line of output, `call WORDS -> ANSWER`, so that a test can see the calls and their arguments.
//!
//! Contract: calls are shown and changed only between two marks (see [`judged`](crate::judged)), in the processes that
//! the scenario forks as well, unless the [`Kernel`] leaves them out. A scenario that makes far more calls than it needs is killed, and the output ends with
//! `endless WORDS`.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::ops::ControlFlow::{Break, Continue};
use std::ops::Range;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

mod call;
mod follow;
#[cfg_attr(target_arch = "x86_64", path = "tracer/x86_64.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "tracer/other.rs")]
mod registers;
mod stopped;

pub use call::Call;
pub use follow::{ENDED, Stop, end, start, to_call, unless_killed};
pub use registers::{answer, keep, next_call, position};
pub use stopped::stopped;

/// The system call that [`judged`](crate::judged) makes, before and after.
pub const MARK: &str = "getppid";

/// More calls than any scenario needs.
const ENDLESS: usize = 2500;

/// How the kernel that a scenario meets differs from the real one.
pub trait Kernel {
    /// The call in words, or `None` for a call that the test does not want to see.
    fn words(&self, call: &Call) -> Option<String>;

    /// The answer to a call that must not reach the real kernel: a number, or an errno below zero.
    fn instead(&mut self, _call: &Call) -> Option<i64> {
        None
    }

    /// The answer that the caller gets, where the real kernel gave this one.
    fn told(&mut self, _call: &Call, answer: i64) -> i64 {
        answer
    }

    /// Does the simulated kernel also serve the processes that the scenario forks? If not, theirs is the real one, and their
    /// calls are not shown.
    fn serves_children(&self) -> bool {
        true
    }
}

/// Run the scenario on that kernel. Gives its exit code, or [`REFUSED`](crate::REFUSED) if it cannot be traced.
pub fn run(kernel: &mut dyn Kernel, scenario: impl FnOnce() -> i32) -> i32 {
    start(scenario, |pid| watch(pid, kernel))
}

/// Follow the scenario from call to call, and answer as the simulated kernel would.
fn watch(scenario: Pid, kernel: &mut dyn Kernel) -> nix::Result<i32> {
    let (mut judging, mut shown, mut pid) = (false, 0, scenario);
    // Calls that were kept from the real kernel, by the process that made them, and their answers.
    let mut kept = BTreeMap::new();
    loop {
        let stop = match to_call(scenario, pid, None)? {
            Continue(stop) => stop,
            Break(code) => return Ok(code),
        };
        pid = stop.pid;
        if pid != scenario && !kernel.serves_children() {
            continue;
        }
        judging ^= stop.call.name == MARK && stop.answer.is_some();
        if !judging || stop.call.name == MARK {
            continue;
        }
        let Some(answer) = stop.answer else {
            if let Some(answer) = kernel.instead(&stop.call) {
                unless_killed(registers::keep(pid))?;
                kept.insert(pid, (stop.call, answer));
            }
            continue;
        };
        let (call, told) = kept.remove(&pid).unwrap_or_else(|| (stop.call, kernel.told(&stop.call, answer)));
        if told != answer {
            unless_killed(registers::answer(pid, told))?;
        }
        let Some(words) = kernel.words(&call) else { continue };
        println!("call {words} -> {told}");
        shown += 1;
        if shown > ENDLESS {
            println!("endless {words}");
            return end(scenario);
        }
    }
}

/// Run the scenario, and print `steps N` for each thing that it does between two marks: the number of instructions,
/// which is the same on a busy machine.
pub fn counted(scenario: impl FnOnce() -> i32) -> i32 {
    start(scenario, |pid| {
        let mut judging = false;
        loop {
            let stop = match to_call(pid, pid, None)? {
                Continue(stop) => stop,
                Break(code) => return Ok(code),
            };
            if stop.call.name != MARK || stop.answer.is_none() {
                continue;
            }
            judging = !judging;
            if judging {
                println!("steps {}", steps_to_mark(pid)?);
            }
        }
    })
}

/// Step to the next mark. Gives the number of instructions.
///
/// # Errors
/// What ptrace or waitpid says; [`ENDED`] if the scenario ends before that.
pub fn steps_to_mark(scenario: Pid) -> nix::Result<usize> {
    let mut steps = 0;
    while next_call(scenario)? != Some(MARK) {
        ptrace::step(scenario, None)?;
        match waitpid(scenario, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => steps += 1,
            _ => return Err(ENDED),
        }
    }
    Ok(steps)
}

/// Step to the next mark, and say how often the clock was read on the way: by a function of the vDSO, see vdso(7), or by
/// clock_gettime(2).
///
/// # Errors
/// What ptrace or waitpid says; [`ENDED`] if the scenario ends before.
pub fn clock_reads_to_mark(scenario: Pid) -> nix::Result<usize> {
    let vdso = vdso(scenario);
    let (mut reads, mut inside) = (0, false);
    loop {
        let call = next_call(scenario)?;
        if call == Some(MARK) {
            return Ok(reads);
        }
        let was_inside = inside;
        inside = vdso.contains(&position(scenario)?);
        // A clock that the vDSO cannot read is read by the system call, from inside of the same function.
        reads += usize::from(inside && !was_inside || !inside && call == Some("clock_gettime"));
        ptrace::step(scenario, None)?;
        if !matches!(waitpid(scenario, None)?, WaitStatus::Stopped(_, Signal::SIGTRAP)) {
            return Err(ENDED);
        }
    }
}

/// Where the kernel has mapped its functions into a process; nothing if it did not.
fn vdso(process: Pid) -> Range<u64> {
    let maps = read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).and_then(|line| line.split_once(' '));
    let ends = line.and_then(|(range, _)| range.split_once('-'));
    let number = |hex| u64::from_str_radix(hex, 16).unwrap_or(0);
    ends.map_or(0..0, |(start, end)| number(start)..number(end))
}
