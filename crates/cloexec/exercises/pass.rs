//! Exercise `cloexec/pass`: start a program with chosen descriptors at chosen numbers, and no others.
//!
//! Goal: the program has those descriptors and no others, whatever the caller has open and whichever numbers
//! overlap, even if the kernel refuses `close_range`. If the program cannot be started, the caller gets the errno, and
//! no child remains. The caller's own descriptors do not change, and what `spawn` opens for itself is close-on-exec from
//! the start. The caller may have threads, so the child must not allocate between fork and exec: it only makes system
//! calls.
//! Signals: in the program, `SIGPIPE` has its default action, other ignored signals stay ignored, and no signal is
//! blocked. The child runs no handler of the caller, and `spawn` restores the caller's signal mask.
//! `process::signals::Blocked` helps: make one before the fork; in the child, call its `remove_handlers()` first; in the
//! caller, drop it after the fork. If a signal interrupts a call (EINTR), make the call again.
//! Your earlier answers help: `crate::open::pipe`, and `close_range_cloexec`, `is_refusal` and `open_descriptors` of
//! `crate::sweep`. `crate::image::Image` holds the path, the arguments and the environment as the C
//! strings that `execve` takes: `Image::new(program, args)?` allocates, and `image.exec()` returns only if it fails: as a
//! `nix::Result<Infallible>`, so `let Err(errno) = image.exec();` compiles.
//! Run `cargo workbook check pass` after each change; `hint pass` if you are stuck.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use nix::unistd::Pid;

use crate::Result;
use crate::image::Image;

/// Starts `program` with `args` (its path goes before them) and the caller's environment, and returns its pid.
/// Each pair in `fds` is a descriptor and the number at which the program finds it. The caller waits for the
/// program.
///
/// A negative number, a number that is chosen twice, `RawFd::MAX`, and a NUL byte in the path or an argument are EINVAL;
/// then no child is started.
/// `fds` may have any length. If fork fails, the caller's mask and descriptors are as they were. The caller's other
/// children are not waited for, and signals that the caller ignores, realtime signals too, stay ignored, except SIGPIPE.
/// If the caller ignores SIGCHLD, waitpid for the child that failed fails, too: still return the errno from the child.
///
/// Not tested: a signal that interrupts dup2 or write in the child, because every signal is blocked there; and a number
/// below `RawFd::MAX` above which RLIMIT_NOFILE leaves no room.
///
/// The error's operation begins with the call that failed: `fcntl(F_DUPFD_CLOEXEC)`, `close_range` (or `fcntl(F_SETFD)`,
/// where the kernel refuses `close_range`), `dup2` or `execve`. An error of `open_descriptors` is returned as it is.
pub fn spawn(program: &Path, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<Pid> {
    let _ = (Image::new, Image::exec);
    todo!("start {program:?} with {args:?} and exactly {fds:?}: write `spawn` in exercises/pass.rs")
}
