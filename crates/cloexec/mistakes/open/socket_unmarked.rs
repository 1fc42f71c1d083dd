//! Mistake: SOCK_CLOEXEC is missing.
//! Caught by: a_socket_is_marked_by_the_call_that_makes_it
//! Message: SOCK_CLOEXEC does

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// Copies start here: one that landed on 0, 1 or 2 (where that is closed) would become a standard stream.
const LOWEST_COPY: i32 = 3;

/// Open a file, with `O_CLOEXEC` beside the caller's flags. `mode` counts where the call makes a file.
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, mode).map_err(Error::on("open", path.display()))
}

/// Make a pipe: the end to read from, then the end to write to. Both block, both are close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "a new pipe"))
}

/// Make a socket, with the family's own protocol for that type.
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    nix::sys::socket::socket(family, kind, SockFlag::empty(), None)
        .map_err(Error::on("socket", format_args!("{family:?} {kind:?}")))
}

/// A second descriptor for the same open file description: one offset, one set of status flags, and a
/// close-on-exec flag of its own, which is set.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(LOWEST_COPY))
        .map_err(Error::on("fcntl(F_DUPFD_CLOEXEC)", format_args!("descriptor {}", fd.as_raw_fd())))?;
    // SAFETY: the call succeeded, so the number is open, and it is new: nobody else can own it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
