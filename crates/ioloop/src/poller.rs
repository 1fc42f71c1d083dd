//! Waiting for events: the trait [`Poller`], and its implementations on epoll(7), poll(2) and select(2).
//!
//! Contract of each poller: it reports an added descriptor, level-triggered, until the descriptor is removed; with
//! [`Events::EDGE`] only at a change, and with [`Events::ONESHOT`] once, and then nothing until it is modified. It
//! reports an error and a hang-up if the interest has [`Events::READ`]; epoll and poll do so whatever the interest is.
//! A wait returns before its timeout only for an event or a signal. After a signal it returns no events and no error.
//! Adding a descriptor twice is EEXIST; modifying or removing an unknown one is ENOENT. Each poller watches the descriptors
//! that epoll watches, and refuses the others with the same errno. Exceptions: poll and select refuse [`Events::EDGE`],
//! select refuses [`Events::READ_HANGUP`] and numbers from FD_SETSIZE on, and poll refuses more descriptors than
//! RLIMIT_NOFILE.

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
mod probe;
pub mod select;

pub use kind::Kind;
pub(crate) use kind::make;

pub(crate) mod pwait2;

/// The operations that the loop needs from a poller.
// ANCHOR: poller
pub trait Poller: fmt::Debug {
    /// Watch a descriptor for `interest`, and report it with `token`.
    ///
    /// # Errors
    /// `EEXIST` if it was added already; `EBADF` if it is not open, or was opened with O_PATH; `EPERM` if it is always
    /// ready, as a file on a disk and /dev/null are; `ELOOP` for epolls that watch each other, or too many in a row.
    /// `EINVAL` if this poller cannot do it, and the error says why: only epoll can report edges, select cannot watch
    /// numbers from FD_SETSIZE on or for [`Events::READ_HANGUP`], and poll cannot watch more than RLIMIT_NOFILE
    /// descriptors. epoll also: `ENOSPC`, `ENOMEM`, see epoll_ctl(2).
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()>;

    /// Change the token and the interest of a descriptor.
    ///
    /// # Errors
    /// `ENOENT` if it was not added; `EBADF` if it is not open; `EINVAL` if this poller cannot do it, as in `add`.
    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()>;

    /// Stop watching a descriptor. Call this before the descriptor is closed.
    ///
    /// # Errors
    /// `ENOENT` if it was not added; on epoll, `EBADF` if it is not open.
    fn remove(&mut self, fd: RawFd) -> Result<()>;

    /// Wait until a descriptor is ready or `timeout` is over, and replace the contents of `ready` with the events. The
    /// timeout is rounded up to the unit of the system call. `None` means no time limit.
    ///
    /// # Errors
    /// The errors of epoll_wait(2), poll(2) or select(2), except `EINTR`: after a signal, `ready` is empty.
    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()>;
}
// ANCHOR_END: poller

// ANCHOR: milliseconds
/// A timeout in milliseconds for a system call; `None` is -1, which means no limit. Rounded up: rounding down would
/// wake the loop early, and it would then poll with a timeout of 0 until the deadline.
pub(crate) fn milliseconds(timeout: Option<Duration>) -> i32 {
    let Some(timeout) = timeout else { return -1 };
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}
// ANCHOR_END: milliseconds

/// An error of an operation on a descriptor.
pub(crate) fn failed(operation: &'static str, fd: RawFd, errno: Errno) -> Error {
    Error::on(operation, format_args!("descriptor {fd}"))(errno)
}

/// Is this descriptor open for reading or writing? One of O_PATH is not: every call that a handler would make fails with
/// `EBADF`. See fcntl(2), F_GETFL, and open(2), O_PATH.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: the call takes integers, and fails with EBADF if the descriptor is not open.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_PATH == 0
}

/// The checks that the kernel makes in epoll_ctl(2), for pollers that keep their own list. A throwaway epoll answers for
/// every kind of descriptor. If the process can have none, this goes by the type of the descriptor, as fstat(2) tells it,
/// and may be wrong about a device or a file in /proc.
///
/// # Errors
/// `EBADF` if the descriptor is not open, or was opened with O_PATH; `EPERM` if it is always ready; `EINVAL` for
/// [`Events::EDGE`]; `EINVAL` or `ELOOP` for an epoll that epoll would refuse.
// ANCHOR: watchable
pub(crate) fn can_be_watched(fd: RawFd, interest: Events) -> Result<()> {
    can_be_modified(fd, interest)?;
    let asked = match probe::probe(fd) {
        // The errors of the kernel's limits concern epoll alone.
        Some(Err(errno @ (Errno::EPERM | Errno::EBADF | Errno::EINVAL | Errno::ELOOP))) => Err(errno),
        Some(_) => Ok(()),
        None if is_on_a_disk(fd) => Err(Errno::EPERM),
        None => Ok(()),
    };
    asked.map_err(|errno| failed("watch", fd, errno))
}

/// The checks for a descriptor that is watched already.
///
/// # Errors
/// `EBADF` and `EINVAL` as in [`can_be_watched`].
pub(crate) fn can_be_modified(fd: RawFd, interest: Events) -> Result<()> {
    if !is_open(fd) {
        return Err(failed("watch", fd, Errno::EBADF));
    }
    if interest.contains(Events::EDGE) {
        let object = format_args!("descriptor {fd}: only epoll reports edges");
        return Err(Error::on("watch", object)(Errno::EINVAL));
    }
    Ok(())
}
// ANCHOR_END: watchable

/// Is this a regular file or a directory? See fstat(2).
fn is_on_a_disk(fd: RawFd) -> bool {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes one stat, or fails.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so the kernel wrote the stat.
    matches!(unsafe { stat.assume_init() }.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR)
}
