//! epoll_pwait2(2): epoll_wait(2) with a timeout in nanoseconds. Neither nix nor an older C library has it.

use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{SYS_epoll_pwait2, sigset_t, syscall};
use nix::sys::epoll::{Epoll, EpollEvent};

/// Wait until a descriptor is ready, for at most `timeout`; `None` waits without a limit. Returns how many events the kernel
/// wrote to `events`.
///
/// # Errors
/// `EINTR` after a signal; `ENOSYS` before Linux 5.11; `EPERM` if a seccomp filter refuses the call, see seccomp(2).
pub(crate) fn epoll_pwait2(
    epoll: &Epoll,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
) -> nix::Result<usize> {
    let timeout = timeout.map(|timeout| KernelTimespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let no_mask = ptr::null::<sigset_t>();
    let (fd, room) = (epoll.0.as_raw_fd(), i32::try_from(events.len()).unwrap_or(i32::MAX));
    // SAFETY: the kernel writes at most `room` events, and nix's event has the layout of the kernel's. The timespec lives
    // until the call returns. Without a mask, the kernel ignores the size of the mask.
    let count =
        unsafe { syscall(SYS_epoll_pwait2, fd, events.as_mut_ptr(), room, timeout, no_mask, 0_usize) };
    Errno::result(count).map(|count| count as usize)
}

/// The kernel's `struct __kernel_timespec`: 64 bits wide on a 32-bit machine too, where the C library's `timespec` is not.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}
