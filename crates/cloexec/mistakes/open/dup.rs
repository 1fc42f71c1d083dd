//! Mistake: dup, which copies everything but the flag.
//! Caught by: a_duplicate_is_marked_whatever_the_original_is
//! Message: a duplicate starts without the flag

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

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
    nix::sys::socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Error::on("socket", format_args!("{family:?} {kind:?}")))
}

/// A second descriptor for the same open file description: one offset, one set of status flags, and a
/// close-on-exec flag of its own, which is set.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    nix::unistd::dup(fd).map_err(Error::on("dup", format_args!("descriptor {}", fd.as_raw_fd())))
}
