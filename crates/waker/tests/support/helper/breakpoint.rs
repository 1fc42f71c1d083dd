//! Letting a stopped process run to one instruction at full speed: a step takes two context switches, and a run
//! takes two however far it is.
//!
//! It is for x86-64, as the tracer's registers are.

use nix::errno::Errno;
use nix::libc::{self, c_long, c_void};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// The instruction `int3`, one byte: it raises SIGTRAP in the process that executes it.
const INT3: c_long = 0xcc;

/// The address of the instruction that the process executes next.
pub fn next(pid: Pid) -> nix::Result<u64> {
    Ok(ptrace::getregs(pid)?.rip)
}

/// Let the process run until it is about to execute the instruction at `address` for the `visit`-th time, counted
/// from 1, or until it makes the tracer's mark, whichever comes first.
///
/// # Errors
/// What ptrace(2) or waitpid(2) says; `EIO` if the process stops for another reason, or exits.
pub fn run_to(pid: Pid, address: u64, visit: usize) -> nix::Result<()> {
    let place = address as *mut c_void;
    let word = ptrace::read(pid, place)?;
    for visit in (1..=visit).rev() {
        ptrace::write(pid, place, word & !0xff | INT3)?;
        let arrived = to_trap(pid)?;
        // Nothing else may find the trap: the code goes on as it was written.
        ptrace::write(pid, place, word)?;
        if !arrived {
            return Ok(());
        }
        // The trap was executed, and its byte is behind the process.
        let mut regs = ptrace::getregs(pid)?;
        regs.rip = address;
        ptrace::setregs(pid, regs)?;
        if visit > 1 {
            ptrace::step(pid, None)?;
            waitpid(pid, None)?;
        }
    }
    Ok(())
}

/// Run to the trap. False if the process comes to a mark before it.
fn to_trap(pid: Pid) -> nix::Result<bool> {
    loop {
        ptrace::syscall(pid, None)?;
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(true),
            WaitStatus::PtraceSyscall(_) => {
                if ptrace::getregs(pid)?.orig_rax as c_long == libc::SYS_getppid {
                    return Ok(false);
                }
            }
            _ => return Err(Errno::EIO),
        }
    }
}
