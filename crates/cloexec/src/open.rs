//! Files, pipes, sockets and duplicates that are close-on-exec from the start.
//!
//! Contract: the call that makes the descriptor also sets its flag, so another thread that forks and execs at
//! any moment cannot leak it into a program. The caller's own flags are kept.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// The lowest number for a duplicate. On 0, 1 or 2, if that number is free, it would become a standard stream.
const LOWEST_COPY: i32 = 3;

/// Opens a file with the caller's flags and `O_CLOEXEC`. `mode` matters only if the call creates a file.
///
/// # Errors
/// The errors of open(2), "ERRORS": `ENOENT` if the file does not exist, `EACCES` if the caller may not open it,
/// `EMFILE` if the process has no free descriptor, `EINTR` if a signal interrupts a slow open; and `EINVAL` if
/// the path contains a NUL byte.
// ANCHOR: open
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, mode).map_err(Error::on("open", path.display()))
}
// ANCHOR_END: open

/// Makes a pipe and returns its read end and its write end. Both block, and both are close-on-exec.
///
/// # Errors
/// `EMFILE` if the process has fewer than two free descriptors, `ENFILE` if the system's table of open files is full
/// or the user's pipes exceed their memory limit. See pipe(2), "ERRORS".
// ANCHOR: pipe
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}
// ANCHOR_END: pipe

/// Makes a socket, with the default protocol of its family and type.
///
/// # Errors
/// `EAFNOSUPPORT` if the kernel lacks the family, `ESOCKTNOSUPPORT` if the family lacks the type, `EPROTONOSUPPORT` if
/// the type has no default protocol, as raw sockets of IPv4 and IPv6. `EPERM` if the caller lacks the privilege, for
/// example for a packet socket, and `EACCES` if a security module forbids it. `EMFILE` if the process has no free
/// descriptor. See socket(2), "ERRORS", and packet(7).
// ANCHOR: socket
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    nix::sys::socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Error::on("socket", format_args!("{family:?} {kind:?}")))
}
// ANCHOR_END: socket

/// Duplicates a descriptor. The duplicate shares the open file description, and so the offset and the status
/// flags; its close-on-exec flag is its own, and is set.
///
/// # Errors
/// `EMFILE` if the process has no free descriptor, `EINVAL` if RLIMIT_NOFILE permits none from 3 up, `EBADF` if the
/// descriptor is not open. See F_DUPFD(2const), or fcntl(2) before man-pages 6.15.
// ANCHOR: duplicate
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(LOWEST_COPY))
        .map_err(Error::on("fcntl(F_DUPFD_CLOEXEC)", format_args!("descriptor {}", fd.as_raw_fd())))?;
    // SAFETY: the call succeeded, so the number is open. It is also new, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
// ANCHOR_END: duplicate
