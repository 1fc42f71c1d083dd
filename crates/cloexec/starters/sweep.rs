//! Exercise `cloexec/sweep`: mark what others left unmarked.
//!
//! Goal: everything open from a number on is close-on-exec, however wide the gaps, also where the kernel
//! refuses `close_range`. Nothing is closed, nothing below that number changes.
//! `nix` has no `close_range`; `nix::libc` has `syscall` and `SYS_close_range`.
//! Run `cargo run -p workbook check sweep` after each change; `hint sweep` if you are stuck.

use std::os::fd::RawFd;

use nix::errno::Errno;

use crate::Result;

/// Mark every open descriptor whose number is `first` or more. A negative number is an error.
pub fn mark_from(first: RawFd) -> Result<()> {
    todo!(
        "mark everything from {first} on, with or without close_range: write `mark_from` in exercises/sweep.rs"
    )
}

/// The system call alone, with the kernel's answer as it came. The child of a fork calls this too, so it
/// allocates nothing.
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    todo!(
        "have the kernel mark everything from {first} on: write `close_range_cloexec` in exercises/sweep.rs"
    )
}

/// Does this error say that the kernel does not do it at all, so that it has to be done by hand?
pub fn is_refusal(errno: Errno) -> bool {
    todo!(
        "say whether {errno:?} means that close_range is of no use here: write `is_refusal` in exercises/sweep.rs"
    )
}

/// The numbers that are open in this process, in no order.
pub fn listed() -> Result<Vec<RawFd>> {
    todo!("list the numbers in /proc/self/fd: write `listed` in exercises/sweep.rs")
}
