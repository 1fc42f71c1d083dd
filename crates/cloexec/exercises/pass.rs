//! Exercise `cloexec/pass`: start a program with exactly the chosen descriptors at the chosen numbers.
//!
//! Goal: the program has those and nothing else, whatever the caller has open and whichever numbers overlap.
//! If it cannot be started, the caller gets the errno, and no child is left. In the program, `SIGPIPE` has its
//! default disposition and no signal is blocked.
//! The caller may have threads: between fork and exec, the child may make system calls and must not allocate.
//! `crate::image::Image` holds path, arguments and environment ready for `execve`, as the C strings it needs.
//! Run `cargo run -p workbook check pass` after each change; `hint pass` if you are stuck.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use nix::unistd::Pid;

use crate::Result;
use crate::image::Image;

/// Start `program` with `args` (its path goes before them) and the caller's environment. Each pair in `fds` is
/// a descriptor and the number at which the program finds it. The caller waits for the program.
///
/// A negative number, a number that is chosen twice and a NUL byte are errors, and start nothing.
pub fn spawn(program: &Path, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<Pid> {
    let _ = (Image::new, Image::exec);
    todo!("start {program:?} with {args:?} and exactly {fds:?}: write `spawn` in exercises/pass.rs")
}
