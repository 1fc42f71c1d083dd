//! Exercise `cloexec/open`: files, pipes, sockets and duplicates that are close-on-exec from the start.
//!
//! Goal: each descriptor is close-on-exec from its first moment, whatever other threads do meanwhile, and the
//! caller's own flags are kept. A duplicate is never 0, 1 or 2, even if the caller has closed them.
//! Run `cargo workbook check open` after each change; `hint open` if you are stuck.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;

use crate::Result;

/// Opens a file with the caller's flags, close-on-exec. `mode` matters only if the call creates a file.
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref().display();
    todo!("open {path} with {flags:?}, {mode:?} and close-on-exec: write `open` in exercises/open.rs")
}

/// Makes a pipe and returns its read end and its write end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    todo!("make a pipe with both ends close-on-exec: write `pipe` in exercises/open.rs")
}

/// Makes a socket, with the default protocol of its family and type.
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    todo!("make a close-on-exec socket, {family:?} {kind:?}: write `socket` in exercises/open.rs")
}

/// Duplicates a descriptor. The duplicate shares the open file description.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    todo!("make a close-on-exec duplicate of {:?}: write `duplicate` in exercises/open.rs", fd.as_fd())
}
