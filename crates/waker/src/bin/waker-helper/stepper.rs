//! A signal at the worst moment: between two instructions of the code under test, and then between the next two.
//!
//! A scenario runs the same code again and again between marks. The first round is stepped through, to see how
//! many instructions it has; each later round gets one SIGUSR1, a little further on each time. Which moment
//! is the bad one need not be known, and no luck is needed to hit it.

use nix::errno::Errno;
use nix::libc::{self, c_void};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::scenarios::ROUNDS;
use crate::tracer::{call, ended};

/// The instruction `syscall`, as two bytes of memory.
const SYSCALL: i64 = 0x050f;

/// Prints `steps N` for the first round, and `waits KIND` if the code under test waits for a lock.
pub fn watch(scenario: Pid) -> nix::Result<i32> {
    let mut steps = 0;
    for round in 0..=ROUNDS {
        if let Some(code) = to_mark(scenario, None)? {
            return Ok(code);
        }
        if round == 0 {
            steps = count(scenario)?;
            println!("steps {steps}");
        } else {
            for _ in 0..steps * round / (ROUNDS + 1) {
                ptrace::step(scenario, None)?;
                waitpid(scenario, None)?;
            }
        }
        // The mark after the code under test, on the way to which the signal is handled.
        if let Some(code) = to_mark(scenario, (round > 0).then_some(Signal::SIGUSR1))? {
            return Ok(code);
        }
    }
    loop {
        ptrace::cont(scenario, None)?;
        match waitpid(scenario, None)? {
            WaitStatus::Stopped(..) => {}
            other => return Ok(ended(other)),
        }
    }
}

/// On to where the scenario comes out of a mark. An exit code, if it comes to an end before that.
fn to_mark(scenario: Pid, mut deliver: Option<Signal>) -> nix::Result<Option<i32>> {
    let mut judging = deliver.is_some();
    loop {
        ptrace::syscall(scenario, deliver.take())?;
        match waitpid(scenario, None)? {
            WaitStatus::PtraceSyscall(_) => {}
            WaitStatus::Stopped(_, signal) => {
                deliver = Some(signal);
                continue;
            }
            other => return Ok(Some(ended(other))),
        }
        match call(scenario)? {
            (libc::SYS_getppid, true) => return Ok(None),
            (libc::SYS_getppid, false) => judging = false,
            // Nobody else runs who could let go of a lock.
            (libc::SYS_futex, false) if judging => {
                println!("waits futex");
                ptrace::kill(scenario)?;
                return Ok(Some(0));
            }
            _ => {}
        }
    }
}

/// Step to the next mark, and say how many instructions that took.
fn count(scenario: Pid) -> nix::Result<usize> {
    let mut steps = 0;
    loop {
        let regs = ptrace::getregs(scenario)?;
        let next = ptrace::read(scenario, regs.rip as *mut c_void)? & 0xffff;
        if next == SYSCALL && regs.rax as i64 == libc::SYS_getppid {
            return Ok(steps);
        }
        ptrace::step(scenario, None)?;
        match waitpid(scenario, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => steps += 1,
            _ => return Err(Errno::EIO),
        }
    }
}
