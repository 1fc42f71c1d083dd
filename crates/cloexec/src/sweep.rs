//! Mark what others left unmarked: every descriptor from a number on.
//!
//! Contract: nothing is closed, nothing below the first number changes, and nothing is missed, however wide
//! the gaps and whatever the limit on numbers is now. It marks what is open when it is called; what another
//! thread opens meanwhile may or may not be seen.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result, flags};

/// Mark every open descriptor whose number is `first` or more as close-on-exec.
///
/// # Errors
/// `EINVAL` for a negative number, `ENOMEM` from close_range(2). Where `close_range` is refused, also what
/// [`listed`] and [`flags::set`] answer. See close_range(2), "CLOSE_RANGE_CLOEXEC".
// ANCHOR: mark_from
pub fn mark_from(first: RawFd) -> Result<()> {
    let on = |errno| {
        Error::on("close_range(CLOSE_RANGE_CLOEXEC)", format_args!("descriptors from {first} on"))(errno)
    };
    let lowest = u32::try_from(first).map_err(|_| on(Errno::EINVAL))?;
    match close_range_cloexec(lowest) {
        Err(errno) if is_refusal(errno) => mark_listed(first),
        answer => answer.map_err(on),
    }
}

/// The system call alone. It allocates nothing, so the child of a fork may make it.
///
/// # Errors
/// The kernel's, as it came: see [`is_refusal`], and close_range(2), "ERRORS".
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    let (last, flags) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: three integers go in and no memory is touched. With this flag nothing is closed either, so no
    // `OwnedFd` anywhere is left with a number that is no longer its own.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(answer).map(drop)
}

/// Does this error say that the kernel does not do it at all, so that it has to be done by hand?
///
/// `ENOSYS`: Linux before 5.9. `EPERM`: a seccomp filter that does not know the call, as in old containers.
/// `EINVAL`: Linux 5.9 and 5.10, which know the call but not the flag (our range is never the wrong part).
pub fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM | Errno::EINVAL)
}
// ANCHOR_END: mark_from

// ANCHOR: fallback
fn mark_listed(first: RawFd) -> Result<()> {
    for number in listed()?.into_iter().filter(|number| *number >= first) {
        // SAFETY: the borrow ends with this turn of the loop, and nothing is read, written or closed through
        // it: if the number has changed hands since it was listed, its new owner is marked, as is our task.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match flags::set(fd) {
            // Gone, so nothing is left to mark. The descriptor that the list was read from always is.
            Err(error) if error.errno == Errno::EBADF => {}
            answer => answer?,
        }
    }
    Ok(())
}

/// The numbers that are open in this process, in no order, from `/proc/self/fd`. The descriptor that the
/// directory was read from may be among them; it is closed when this returns.
///
/// # Errors
/// `EMFILE` where no number is left for reading the directory, `ENOENT` where there is no `/proc`. See
/// proc(5), "/proc/pid/fd".
pub fn listed() -> Result<Vec<RawFd>> {
    let names = || -> io::Result<Vec<_>> {
        fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let names = names().map_err(|error| {
        Error::on("read_dir", "/proc/self/fd")(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    })?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}
// ANCHOR_END: fallback
