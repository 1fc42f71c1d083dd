//! Sleeping until one of many descriptors is ready: one trait, and three system calls to choose from.
//!
//! Contract of every poller: what is added is reported, level-triggered, until it is removed; an error and a
//! hang-up are reported unasked. A wait never ends before its time without an event or a signal, and a signal is
//! neither an event nor an error. A number is added once; what is not there can be neither modified nor removed.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use crate::{Error, Event, Events, Result, Token};

#[cfg_attr(feature = "mine-epoll", path = "../exercises/epoll.rs")]
pub mod epoll;
mod fake;
mod kind;
pub mod poll;
pub mod select;

pub use kind::Kind;
pub(crate) use kind::make;

pub(crate) mod pwait2;

/// What a loop needs of the kernel.
// ANCHOR: poller
pub trait Poller: fmt::Debug {
    /// From now on, report this descriptor under this token.
    ///
    /// # Errors
    /// `EEXIST` if it is there already, `EBADF` if it is not open, `EPERM` for what is always ready and cannot be
    /// waited for: a regular file, a directory. `EINVAL` for what this poller cannot do.
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()>;

    /// Watch it for something else.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `EBADF`, `EINVAL`.
    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()>;

    /// Do not report it any more. To be called before the descriptor is closed.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `EBADF`.
    fn remove(&mut self, fd: RawFd) -> Result<()>;

    /// Sleep until something is ready, for so long at most (rounded up to what the system call takes, never
    /// down), and put what is ready into `ready`, in place of what is there. Without a timeout: until then.
    ///
    /// # Errors
    /// What the kernel answers, on "the loop's epoll" or "the loop's descriptors", but never `EINTR`: after a signal
    /// nothing is ready.
    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()>;
}
// ANCHOR_END: poller

/// A duration as the milliseconds of a system call: up, since a wait that ends too early is followed by waits of no
/// time at all until it is time. -1 is for ever.
pub(crate) fn milliseconds(timeout: Option<Duration>) -> i32 {
    let Some(timeout) = timeout else { return -1 };
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

pub(crate) fn failed(operation: &'static str, fd: RawFd, errno: Errno) -> Error {
    Error::on(operation, format_args!("descriptor {fd}"))(errno)
}

/// Is there an open descriptor of that number?
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: the call takes integers and answers EBADF where nothing is open.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// For pollers that keep the list themselves: the answers that epoll has from the kernel.
// ANCHOR: watchable
pub(crate) fn can_be_watched(fd: RawFd, interest: Events) -> Result<()> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes one stat, or answers EBADF.
    Errno::result(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })
        .map_err(|errno| failed("fstat", fd, errno))?;
    // SAFETY: the call succeeded, so it was written.
    let kind = unsafe { stat.assume_init() }.st_mode & libc::S_IFMT;
    // Always ready, so that nobody would ever sleep again.
    if kind == libc::S_IFREG || kind == libc::S_IFDIR {
        return Err(failed("watch", fd, Errno::EPERM));
    }
    if interest.contains(Events::EDGE) {
        let object = format_args!("descriptor {fd}: only epoll reports edges");
        return Err(Error::on("watch", object)(Errno::EINVAL));
    }
    Ok(())
}
// ANCHOR_END: watchable
