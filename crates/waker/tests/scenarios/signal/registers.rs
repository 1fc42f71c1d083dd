//! What `breakpoint` and `held` read and change in the registers of a stopped process. Like the tracer's registers, this is
//! written for x86-64 only; elsewhere nothing is traced.

#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::{call, first_argument, go_on_at, position};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{call, first_argument, go_on_at, position};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use nix::libc::c_long;
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    /// Returns the address of the instruction that the process executes next.
    pub fn position(pid: Pid) -> nix::Result<u64> {
        Ok(ptrace::getregs(pid)?.rip)
    }

    /// Lets the process go on at that address.
    pub fn go_on_at(pid: Pid, address: u64) -> nix::Result<()> {
        let mut regs = ptrace::getregs(pid)?;
        regs.rip = address;
        ptrace::setregs(pid, regs)
    }

    /// Returns the number of the system call at which the process has stopped.
    pub fn call(pid: Pid) -> nix::Result<c_long> {
        Ok(ptrace::getregs(pid)?.orig_rax as c_long)
    }

    /// Returns the first argument of the system call that the next instruction makes.
    pub fn first_argument(pid: Pid) -> nix::Result<u64> {
        Ok(ptrace::getregs(pid)?.rdi)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use nix::errno::Errno;
    use nix::libc::c_long;
    use nix::unistd::Pid;

    pub fn position(_: Pid) -> nix::Result<u64> {
        Err(Errno::ENOSYS)
    }

    pub fn go_on_at(_: Pid, _: u64) -> nix::Result<()> {
        Err(Errno::ENOSYS)
    }

    pub fn call(_: Pid) -> nix::Result<c_long> {
        Err(Errno::ENOSYS)
    }

    pub fn first_argument(_: Pid) -> nix::Result<u64> {
        Err(Errno::ENOSYS)
    }
}
