//! A sandbox, as a container has one: a seccomp filter that refuses a system call.

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_no_new_privs;

use super::Lab;
use crate::refused_calls::refused;

impl Lab {
    /// The same as [`refuse`], in an experiment: what it refuses itself is never the reason to skip it.
    ///
    /// # Errors
    /// Those of [`refuse`].
    pub fn refuse(&self, call: libc::c_long, answer: Errno) -> nix::Result<()> {
        refused();
        refuse(call, answer)
    }
}

/// From here on a system call fails with this errno, in this process and in all that it starts. See seccomp(2).
///
/// # Errors
/// `EINVAL` if the kernel has no filters, and the errors of a sandbox that this process runs in.
pub fn refuse(call: libc::c_long, answer: Errno) -> nix::Result<()> {
    // Without it, only root may.
    set_no_new_privs()?;
    let same = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let back = (libc::BPF_RET | libc::BPF_K) as u16;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // The first word of what a filter is shown is the call's number. This filter is for a test, not for safety, so it
    // does not check the architecture.
    let mut filter = [
        step(load, 0, 0, 0),
        step(same, call as u32, 0, 1),
        step(back, libc::SECCOMP_RET_ERRNO | answer as u32, 0, 0),
        step(back, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which is whole and as long as it says, before the call returns.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })
        .map(drop)
}
