//! Another way for `cloexec/sweep`: the flags come from the earlier answer, and the list from libc's `opendir`, without the
//! descriptor that it is read from.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Result, flags};

const LIST: &CStr = c"/proc/self/fd";

/// Sets the flag on every descriptor from this number up.
pub fn set_from(first: RawFd) -> Result<()> {
    let on = Error::on("close_range", format!("descriptors from {first} on"));
    if first < 0 {
        return Err(on(Errno::EINVAL));
    }
    match close_range_cloexec(first.unsigned_abs()) {
        Ok(()) => Ok(()),
        Err(errno) if is_refusal(errno) => one_by_one(first),
        Err(errno) => Err(on(errno)),
    }
}

fn one_by_one(first: RawFd) -> Result<()> {
    let mut numbers = open_descriptors()?;
    numbers.retain(|number| *number >= first);
    for number in numbers {
        // SAFETY: the borrow only changes the descriptor's flag.
        let set = flags::set(unsafe { BorrowedFd::borrow_raw(number) });
        if set.as_ref().is_err_and(|error| error.errno != Errno::EBADF) {
            return set;
        }
    }
    Ok(())
}

/// Makes the system call.
pub fn close_range_cloexec(first: u32) -> nix::Result<()> {
    let (number, flag) = (libc::SYS_close_range, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: with this flag the call closes nothing, and it touches no memory.
    match unsafe { libc::syscall(number, first, u32::MAX, flag) } {
        0 => Ok(()),
        _ => Err(Errno::last()),
    }
}

/// Is the fallback needed?
pub fn is_refusal(errno: Errno) -> bool {
    errno == Errno::ENOSYS || errno == Errno::EINVAL || errno == Errno::EPERM
}

/// Lists the open descriptors.
pub fn open_descriptors() -> Result<Vec<RawFd>> {
    let failed = |operation| Error::on(operation, "/proc/self/fd");
    // SAFETY: the path is a C string.
    let list = unsafe { libc::opendir(LIST.as_ptr()) };
    if list.is_null() {
        return Err(failed("opendir")(Errno::last()));
    }
    // SAFETY: the list is open.
    let own = unsafe { libc::dirfd(list) };
    let mut numbers = Vec::new();
    Errno::clear();
    // SAFETY: the list is open, and no other thread has it.
    while let Some(entry) = unsafe { libc::readdir(list).as_ref() } {
        // SAFETY: the name ends in NUL.
        let name = unsafe { CStr::from_ptr(entry.d_name.as_ptr()) };
        let number = name.to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        numbers.extend(number.filter(|number| *number != own));
    }
    let errno = Errno::last();
    // SAFETY: nothing uses the list anymore.
    unsafe { libc::closedir(list) };
    if errno == Errno::UnknownErrno { Ok(numbers) } else { Err(failed("readdir")(errno)) }
}
