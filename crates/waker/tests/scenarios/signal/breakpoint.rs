//! Running a stopped process to one instruction, at full speed.
//!
//! A single step takes two context switches, and so does a run to a breakpoint, however many instructions it executes.
//! The instruction that stops the process is that of x86.

use nix::libc::{self, c_long, c_void};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use testing::tracer::ENDED;

use super::registers;

/// The instruction `int3`, one byte. A process that executes it gets SIGTRAP.
const INT3: c_long = 0xcc;

/// Runs the process until it is about to execute the instruction at `address` for the `visit`-th time, counted from 1.
/// If it reaches a mark of the tracer before that, it stops there.
///
/// # Errors
/// The errors of ptrace(2) and waitpid(2); [`ENDED`] if the process stops for another reason, or exits.
pub fn run_to(pid: Pid, address: u64, visit: usize) -> nix::Result<()> {
    let place = address as *mut c_void;
    let word = ptrace::read(pid, place)?;
    for visit in (1..=visit).rev() {
        ptrace::write(pid, place, word & !0xff | INT3)?;
        let arrived = to_trap(pid)?;
        // Restored at once, so that the process executes the original instruction.
        ptrace::write(pid, place, word)?;
        if !arrived {
            return Ok(());
        }
        // The process has executed the trap, so the next instruction is one byte too far.
        registers::go_on_at(pid, address)?;
        if visit > 1 {
            ptrace::step(pid, None)?;
            waitpid(pid, None)?;
        }
    }
    Ok(())
}

/// Runs to the trap. Returns false if the process reaches a mark before it.
fn to_trap(pid: Pid) -> nix::Result<bool> {
    loop {
        ptrace::syscall(pid, None)?;
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(true),
            WaitStatus::PtraceSyscall(_) => {
                if registers::call(pid)? == libc::SYS_getppid {
                    return Ok(false);
                }
            }
            _ => return Err(ENDED),
        }
    }
}
