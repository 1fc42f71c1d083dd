//! The number by which an experiment knows a system call.
//!
//! On 32-bit x86, some calls exist twice: fcntl with 32-bit file offsets and with 64-bit ones, calls that take a time with
//! 32-bit times and, since Linux 5.1, with 64-bit ones. glibc makes the second kind, and the libc crate has no names for most
//! of these. Experiments count calls by their names, so they get the numbers of the first kind. See
//! `arch/x86/entry/syscalls/syscall_32.tbl` in the kernel's source.

#[cfg(target_arch = "x86")]
use nix::libc;
use nix::libc::c_long;

/// The number of the narrow call, for the number of a wide one; any other number as it is.
pub(super) fn known(number: c_long) -> c_long {
    let known = WIDE.iter().find(|(wide, _)| *wide == number);
    known.map_or(number, |(_, narrow)| *narrow)
}

#[cfg(target_arch = "x86")]
const WIDE: &[(c_long, c_long)] = &[
    (libc::SYS_fcntl64, libc::SYS_fcntl),
    (403, libc::SYS_clock_gettime),
    (407, libc::SYS_clock_nanosleep),
    (409, libc::SYS_timer_settime),
    (411, libc::SYS_timerfd_settime),
    (413, libc::SYS_pselect6),
    (414, libc::SYS_ppoll),
    (422, libc::SYS_futex),
];

#[cfg(not(target_arch = "x86"))]
const WIDE: &[(c_long, c_long)] = &[];
