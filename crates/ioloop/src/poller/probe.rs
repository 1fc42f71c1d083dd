//! Asking the kernel whether epoll could watch a descriptor, for the pollers that keep their own list.

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags};

/// What epoll_ctl(2) answers when this descriptor is added to an epoll, which is closed then. `None` if there can be no
/// epoll: no descriptor is left, or the kernel or a seccomp filter refuses it.
pub(crate) fn probe(fd: RawFd) -> Option<nix::Result<()>> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok()?;
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: the event is valid for the call, and the kernel itself checks the descriptor.
    let added = unsafe { libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    Some(Errno::result(added).map(drop))
}
