//! Exercise `cloexec/sweep`: set close-on-exec on every descriptor from a number up.
//!
//! Goal: every open descriptor from that number up is close-on-exec, however wide the gaps between them, even if
//! the kernel refuses `close_range`. The sweep closes no descriptor, changes no other descriptor flag, and leaves the
//! descriptors below that number as they are. You can use `crate::flags::set`: your earlier answer, or ours.
//! A kernel refuses with ENOSYS (it lacks the call), EINVAL (it lacks the flag) or EPERM (a seccomp filter); any other
//! errno goes to the caller, and so does the error if `/proc/self/fd` cannot be read. A descriptor that was closed
//! after you listed it (EBADF) is no error. 0, 1 and 2 are descriptors like any other. An error names the call and a
//! number (`first` for `close_range`, the descriptor's for a flag), or the directory.
//! `nix` has no `close_range`; `nix::libc` has `close_range`, and `syscall` with `SYS_close_range`.
//! `crate::Error` has a field `errno`, and `Error::on_io("read", "/proc/self/fd")` makes one of an `io::Error`.
//! Run `cargo workbook check sweep` after each change; `hint sweep` if you are stuck.

use std::os::fd::RawFd;

use nix::errno::Errno;

use crate::Result;

/// Sets close-on-exec on every open descriptor whose number is `first` or higher. A negative number is EINVAL.
pub fn set_from(first: RawFd) -> Result<()> {
    todo!(
        "set close-on-exec from {first} up, with or without close_range: write `set_from` in exercises/sweep.rs"
    )
}

/// Makes the system call, without a fallback, and returns the kernel's errno unchanged. The child of a fork calls
/// this too, so it must not allocate.
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    todo!("call close_range from {first} up: write `close_range_cloexec` in exercises/sweep.rs")
}

/// Returns whether this errno of `close_range` means that the kernel lacks it, so that you need the fallback: ENOSYS,
/// EINVAL and EPERM do.
pub fn is_refusal(errno: Errno) -> bool {
    todo!(
        "return whether {errno:?} means that you need the fallback: write `is_refusal` in exercises/sweep.rs"
    )
}

/// Lists the numbers of this process's open descriptors, in no particular order.
pub fn open_descriptors() -> Result<Vec<RawFd>> {
    todo!("list the numbers in /proc/self/fd: write `open_descriptors` in exercises/sweep.rs")
}
