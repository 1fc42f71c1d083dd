//! Reading and changing the call of a stopped process in its registers, on x86-64.

use nix::libc::{self, c_long, c_void};
use nix::sys::ptrace;
use nix::unistd::Pid;
use syscalls::Sysno;

use super::call::Call;

/// The number of no call: the kernel answers ENOSYS and does nothing.
const NO_CALL: u64 = u64::MAX;

/// The instruction `syscall`, as two bytes of memory.
const SYSCALL: c_long = 0x050f;

/// The call at which the process has stopped, and its answer, if the process has stopped after it.
pub fn call(pid: Pid) -> nix::Result<(Call, Option<i64>)> {
    let regs = ptrace::getregs(pid)?;
    let leaving = ptrace::syscall_info(pid)?.op == libc::PTRACE_SYSCALL_INFO_EXIT;
    let call = Call { name: name(regs.orig_rax), args: [regs.rdi, regs.rsi, regs.rdx, regs.r10] };
    Ok((call, leaving.then_some(regs.rax as i64)))
}

/// Keep the call from the kernel before which the process has stopped.
///
/// # Errors
/// What ptrace says: `ESRCH` if the process was killed meanwhile.
pub fn keep(pid: Pid) -> nix::Result<()> {
    let mut regs = ptrace::getregs(pid)?;
    regs.orig_rax = NO_CALL;
    ptrace::setregs(pid, regs)
}

/// Change the answer of the call after which the process has stopped.
///
/// # Errors
/// What ptrace says: `ESRCH` if the process was killed meanwhile.
pub fn answer(pid: Pid, answer: i64) -> nix::Result<()> {
    let mut regs = ptrace::getregs(pid)?;
    regs.rax = answer as u64;
    ptrace::setregs(pid, regs)
}

/// The call that the next instruction makes, if it makes one.
pub fn next_call(pid: Pid) -> nix::Result<Option<&'static str>> {
    let regs = ptrace::getregs(pid)?;
    let instruction = ptrace::read(pid, regs.rip as *mut c_void)? & 0xffff;
    Ok((instruction == SYSCALL).then(|| name(regs.rax)))
}

/// Where in its code a stopped process is.
pub fn position(pid: Pid) -> nix::Result<u64> {
    ptrace::getregs(pid).map(|regs| regs.rip)
}

fn name(number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(Sysno::new).map_or("none", |call| call.name())
}
