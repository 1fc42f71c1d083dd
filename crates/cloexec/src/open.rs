//! Files, pipes, sockets and duplicates that are born close-on-exec.
//!
//! Contract: the flag is set by the call that makes the descriptor. At no moment is there a descriptor that
//! another thread's fork and exec could carry off. What the caller asked for besides stays as asked.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// Copies start here: one that landed on 0, 1 or 2 (where that is closed) would become a standard stream.
const LOWEST_COPY: i32 = 3;

/// Open a file, with `O_CLOEXEC` beside the caller's flags. `mode` counts where the call makes a file.
///
/// # Errors
/// Those of open(2), "ERRORS": `ENOENT`, `EACCES`, `EMFILE` (the process has no number left), `EINTR`, …;
/// `EINVAL` also for a path that holds a NUL byte.
// ANCHOR: open
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, mode).map_err(Error::on("open", path.display()))
}
// ANCHOR_END: open

/// Make a pipe: the end to read from, then the end to write to. Both block, both are close-on-exec.
///
/// # Errors
/// `EMFILE` where fewer than two numbers are left, `ENFILE` where the system has no more files to give. See
/// pipe(2), "ERRORS".
// ANCHOR: pipe
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}
// ANCHOR_END: pipe

/// Make a socket, with the family's own protocol for that type.
///
/// # Errors
/// `EAFNOSUPPORT` or `ESOCKTNOSUPPORT` where the kernel has no such socket, `EACCES` where it takes a
/// privilege, `EMFILE`. See socket(2), "ERRORS".
// ANCHOR: socket
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    nix::sys::socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Error::on("socket", format_args!("{family:?} {kind:?}")))
}
// ANCHOR_END: socket

/// A second descriptor for the same open file description: one offset, one set of status flags, and a
/// close-on-exec flag of its own, which is set.
///
/// # Errors
/// `EMFILE` where no number is left. See fcntl(2), "Duplicating a file descriptor".
// ANCHOR: duplicate
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(LOWEST_COPY))
        .map_err(Error::on("fcntl(F_DUPFD_CLOEXEC)", format_args!("descriptor {}", fd.as_raw_fd())))?;
    // SAFETY: the call succeeded, so the number is open, and it is new: nobody else can own it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
// ANCHOR_END: duplicate
