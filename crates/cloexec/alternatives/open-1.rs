//! Another way for `cloexec/open`: what std has, in place of system calls. Its pipes and its duplicates are close-on-exec,
//! and it duplicates to 3 or higher.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// Opens a file.
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    openat(AT_FDCWD, path, flags.union(OFlag::O_CLOEXEC), mode).map_err(Error::on("openat", path.display()))
}

/// Makes a pipe.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe().map_err(Error::on_io("pipe2", "a new pipe"))?;
    Ok((reader.into(), writer.into()))
}

/// Makes a socket.
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket::socket(family, kind, flags, None).map_err(Error::on("socket", format!("{kind:?} of {family:?}")))
}

/// Duplicates a descriptor.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let fd = fd.as_fd();
    let number = fd.as_raw_fd();
    fd.try_clone_to_owned().map_err(Error::on_io("fcntl(F_DUPFD_CLOEXEC)", format!("descriptor {number}")))
}
