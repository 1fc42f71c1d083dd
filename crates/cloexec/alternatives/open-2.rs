//! Another way for `cloexec/open`: libc's calls, and numbers that become descriptors in one place.

use std::ffi::CString;
use std::fmt::Display;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;

use crate::{Error, Result};

/// Opens a file.
pub fn open(path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
    let path = path.as_ref();
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::on("open", path.display())(Errno::EINVAL))?;
    // SAFETY: the name is a C string that outlives the call.
    let number = unsafe { libc::open(name.as_ptr(), flags.bits() | libc::O_CLOEXEC, mode.bits()) };
    owned("open", path.display(), number)
}

/// Makes a pipe.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two numbers into the array.
    let answer = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    Errno::result(answer).map_err(Error::on("pipe2", "a new pipe"))?;
    let [reader, writer] = ends.map(|end| owned("pipe2", "a new pipe", end));
    Ok((reader?, writer?))
}

/// Makes a socket.
pub fn socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd> {
    // SAFETY: the call takes three integers.
    let number = unsafe { libc::socket(family as i32, kind as i32 | libc::SOCK_CLOEXEC, 0) };
    owned("socket", format_args!("{family:?} {kind:?}"), number)
}

/// Duplicates a descriptor.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the call takes three integers.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    owned("fcntl(F_DUPFD_CLOEXEC)", format_args!("descriptor {number}"), copy)
}

/// The descriptor of a call that has just returned this.
fn owned(operation: &'static str, object: impl Display, answer: i32) -> Result<OwnedFd> {
    let number = Errno::result(answer).map_err(Error::on(operation, object))?;
    // SAFETY: it is new, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
