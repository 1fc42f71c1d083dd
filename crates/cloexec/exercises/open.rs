//! Exercise `cloexec/open`: files, pipes, sockets and duplicates that are born close-on-exec.
//!
//! Goal: each is close-on-exec from its first moment, whatever other threads do meanwhile, and otherwise as
//! the caller asked for it.
//! Run `cargo run -p workbook check open` after each change; `hint open` if you are stuck.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;

use crate::Result;

/// Open a file, close-on-exec besides what `flags` says. `mode` counts where the call makes a file.
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref().display();
    todo!("open {path} with {flags:?}, {mode:?} and close-on-exec: write `open` in exercises/open.rs")
}

/// Make a pipe: the end to read from, then the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    todo!("make a pipe with both ends close-on-exec: write `pipe` in exercises/open.rs")
}

/// Make a socket, with the family's own protocol for that type.
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    todo!("make a close-on-exec socket, {family:?} {kind:?}: write `socket` in exercises/open.rs")
}

/// A second descriptor for the same open file description.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    todo!("make a close-on-exec duplicate of {:?}: write `duplicate` in exercises/open.rs", fd.as_fd())
}
