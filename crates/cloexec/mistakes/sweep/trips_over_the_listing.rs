//! Mistake: the descriptor that listed the folder is in the list, and gone.
//! Caught by: the_listing_does_not_trip_over_itself
//! Message: EBADF is a number that has gone

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result, flags};

/// Mark every open descriptor whose number is `first` or more as close-on-exec.
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
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    let (last, flags) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: three integers go in and no memory is touched. With this flag nothing is closed either, so no
    // `OwnedFd` anywhere is left with a number that is no longer its own.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(answer).map(drop)
}

/// Does this error say that the kernel does not do it at all, so that it has to be done by hand?
pub fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM | Errno::EINVAL)
}

fn mark_listed(first: RawFd) -> Result<()> {
    for number in listed()?.into_iter().filter(|number| *number >= first) {
        // SAFETY: the borrow ends with this turn of the loop, and nothing is read, written or closed through
        // it: if the number has changed hands since it was listed, its new owner is marked, as is our task.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        flags::set(fd)?;
    }
    Ok(())
}

/// The numbers that are open in this process, in no order, from `/proc/self/fd`. The descriptor that the
/// directory was read from may be among them; it is closed when this returns.
pub fn listed() -> Result<Vec<RawFd>> {
    let names = || -> io::Result<Vec<_>> {
        fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let names = names().map_err(|error| {
        Error::on("read_dir", "/proc/self/fd")(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    })?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}
