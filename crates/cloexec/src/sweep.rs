//! Set close-on-exec on every descriptor from a number up.
//!
//! Contract: no descriptor is closed, none below the first number changes, and none is missed, however wide the
//! gaps between them and whatever RLIMIT_NOFILE is now. The sweep covers the descriptors that are open when it
//! starts; if another thread opens one meanwhile, the sweep may miss it.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result, flags};

/// Sets close-on-exec on every open descriptor whose number is `first` or higher.
///
/// # Errors
/// `EINVAL` if `first` is negative, `ENOMEM` from close_range(2). If the kernel refuses `close_range`, also the
/// errors of [`open_descriptors`] and [`flags::set`]. See close_range(2), "CLOSE_RANGE_CLOEXEC".
// ANCHOR: set_from
pub fn set_from(first: RawFd) -> Result<()> {
    let on = |errno| {
        Error::on("close_range(CLOSE_RANGE_CLOEXEC)", format_args!("descriptors from {first} on"))(errno)
    };
    let lowest = u32::try_from(first).map_err(|_| on(Errno::EINVAL))?;
    match close_range_cloexec(lowest) {
        Err(errno) if is_refusal(errno) => set_one_by_one(first),
        answer => answer.map_err(on),
    }
}

/// Makes the system call, without a fallback. It does not allocate, so the child of a fork may call it.
///
/// # Errors
/// The kernel's errno, unchanged: `ENOMEM`, or one of those in [`is_refusal`]. See close_range(2), "ERRORS".
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    let (last, flags) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: the call takes three integers and touches no memory. With this flag it closes nothing, so every
    // `OwnedFd` in the process keeps its descriptor.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(answer).map(drop)
}

/// Returns whether this errno of `close_range` means that the kernel lacks it, so that you need the fallback.
///
/// `ENOSYS`: Linux before 5.9 lacks the call. `EPERM`: a seccomp filter does not know the call, as in old
/// containers. `EINVAL`: Linux 5.9 and 5.10 have the call but not the flag (the range is valid here).
pub fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM | Errno::EINVAL)
}
// ANCHOR_END: set_from

// ANCHOR: fallback
fn set_one_by_one(first: RawFd) -> Result<()> {
    for number in open_descriptors()?.into_iter().filter(|number| *number >= first) {
        // SAFETY: the borrow ends with this iteration and only changes the descriptor's flag. If the
        // number was closed and opened again since it was listed, the new descriptor gets the flag, as it should.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match flags::set(fd) {
            // Closed since it was listed, as the descriptor that the list was read from always is.
            Err(error) if error.errno == Errno::EBADF => {}
            answer => answer?,
        }
    }
    Ok(())
}

/// Lists the numbers of this process's open descriptors, in no particular order, from `/proc/self/fd`.
///
/// The list may contain the descriptor that read the directory, which is closed by the time this returns. It shows the table
/// of the main thread, which all threads share, unless one has made a table of its own with unshare(2) and `CLONE_FILES`: the
/// descriptors that only such a thread has are not in the list.
///
/// # Errors
/// `EMFILE` if the process has no free descriptor to read the directory with, `ENOENT` if `/proc` is not mounted.
/// See proc(5), "/proc/pid/fd".
pub fn open_descriptors() -> Result<Vec<RawFd>> {
    let names = || -> io::Result<Vec<_>> {
        fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let names = names().map_err(Error::on_io("read", "/proc/self/fd"))?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}
// ANCHOR_END: fallback
