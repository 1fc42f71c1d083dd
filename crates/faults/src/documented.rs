//! The errnos of each system call, from the section "ERRORS" of its man page (man-pages 6), and the calls that do not fail.
//!
//! Left out are EFAULT, a pointer to memory that is not there; what only other arguments of the same call return: another
//! command of fcntl(2) or prctl(2), a file that open(2) creates or writes, a datagram socket for write(2); and EINVAL and
//! ESRCH of wait4(2), which are for constants that are wrong.

use nix::errno::Errno::{self, *};

/// The calls, the errnos of their man page, and those of a sandbox: a seccomp filter usually returns EPERM or ENOSYS.
/// Nobody filters what every program needs, such as read(2), or epoll_ctl(2) without epoll_create1(2).
const CALLS: &[(&[&str], &[Errno], &[Errno])] = &[
    (&["accept4"], &ACCEPT, SANDBOX),
    (&["bind"], &[EACCES, EADDRINUSE, EADDRNOTAVAIL, EBADF, EINVAL, ENOTSOCK, ENOMEM], SANDBOX),
    (
        &["chmod", "fchmod"],
        &[EACCES, EBADF, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS],
        SANDBOX,
    ),
    (&["clone", "clone3", "fork", "vfork"], &[EAGAIN, EINVAL, ENOMEM, ENOSPC, EPERM, EUSERS], SANDBOX),
    (&["close"], &[EBADF, EINTR, EIO, ENOSPC, EDQUOT], &[]),
    (&["close_range"], &[EINVAL, EMFILE, ENOMEM], SANDBOX),
    (&["connect"], &CONNECT, SANDBOX),
    (&["dup", "dup2", "dup3"], &[EBADF, EBUSY, EINTR, EINVAL, EMFILE, ENOMEM], &[]),
    (&["epoll_create1"], &[EINVAL, EMFILE, ENFILE, ENOMEM], SANDBOX),
    (&["epoll_ctl"], &[EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM], &[]),
    (&["epoll_wait", "epoll_pwait", "epoll_pwait2"], &[EBADF, EINTR, EINVAL], SANDBOX),
    (&["eventfd2"], &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM], SANDBOX),
    (&["execve"], &EXEC, SANDBOX),
    (&["fcntl(F_GETFL)"], &[EBADF], &[]),
    (&["fcntl(F_DUPFD)", "fcntl(F_DUPFD_CLOEXEC)"], &[EBADF, EINVAL, EMFILE], SANDBOX),
    (
        &["fcntl(F_SETFD)", "fcntl(F_SETFL)", "fcntl(F_SETOWN)", "fcntl(F_SETSIG)"],
        &[EBADF, EINVAL, EPERM],
        SANDBOX,
    ),
    (&["fstat", "newfstatat", "statx"], &[EBADF, ENOENT, ENOMEM, EOVERFLOW], SANDBOX),
    (&["getdents64"], &[EBADF, EINVAL, ENOENT, ENOTDIR], &[]),
    (&["getrandom"], &[EAGAIN, EINTR, EINVAL], SANDBOX),
    (&["getsockname", "getsockopt"], &[EBADF, EINVAL, ENOBUFS, ENOTSOCK], &[]),
    (&["kill"], &[EINVAL, EPERM, ESRCH], &[]),
    (&["lseek"], &[EBADF, EINVAL, EOVERFLOW, ESPIPE], &[]),
    (&["listen"], &[EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP], SANDBOX),
    (&["openat"], &OPEN, SANDBOX),
    (&["pidfd_open"], &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ESRCH], SANDBOX),
    (&["pidfd_send_signal"], &[EBADF, EINVAL, EPERM, ESRCH], SANDBOX),
    (&["pipe2", "pipe"], &[EINVAL, EMFILE, ENFILE, ENOPKG], &[]),
    (&["poll", "ppoll"], &[EINTR, EINVAL, ENOMEM], SANDBOX),
    (&["prctl"], &[EINVAL], SANDBOX),
    (&["read"], &[EAGAIN, EBADF, EINTR, EINVAL, EIO, EISDIR], &[]),
    (&["recvfrom"], &[EAGAIN, EBADF, ECONNREFUSED, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK], &[]),
    (&["rt_sigaction"], &[EINVAL], &[]),
    (&["sched_getaffinity"], &[EINVAL, ESRCH], SANDBOX),
    (&["select", "pselect6"], &[EBADF, EINTR, EINVAL, ENOMEM], SANDBOX),
    (
        &["sendto"],
        &[
            EACCES,
            EAGAIN,
            EALREADY,
            EBADF,
            ECONNRESET,
            EDESTADDRREQ,
            EINTR,
            EINVAL,
            EISCONN,
            EMSGSIZE,
            ENOBUFS,
            ENOMEM,
            ENOTCONN,
            ENOTSOCK,
            EOPNOTSUPP,
            EPIPE,
        ],
        &[],
    ),
    (&["setsockopt"], &[EBADF, EINVAL, ENOPROTOOPT, ENOTSOCK], SANDBOX),
    (&["shutdown"], &[EBADF, EINVAL, ENOTCONN, ENOTSOCK], &[]),
    (&["signalfd4"], &[EBADF, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM], SANDBOX),
    (&["socket"], &[EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT], SANDBOX),
    (
        &["unlink"],
        &[EACCES, EBUSY, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS],
        SANDBOX,
    ),
    (&["wait4"], &[ECHILD, EINTR], &[]),
    (&["waitid"], &[EAGAIN, ECHILD, EINTR, EINVAL], SANDBOX),
    (&["write"], &[EAGAIN, EBADF, EDQUOT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPERM, EPIPE], &[]),
];

const SANDBOX: &[Errno] = &[EPERM, ENOSYS];

/// With the network errors that accept(2) lists under "Error handling".
const ACCEPT: [Errno; 20] = [
    EAGAIN,
    EBADF,
    ECONNABORTED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EINTR,
    EINVAL,
    EMFILE,
    ENETDOWN,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    ENONET,
    ENOPROTOOPT,
    ENOTSOCK,
    EOPNOTSUPP,
    EPERM,
    EPROTO,
    ETIMEDOUT,
];

const CONNECT: [Errno; 16] = [
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EALREADY,
    EBADF,
    ECONNREFUSED,
    EINPROGRESS,
    EINTR,
    EISCONN,
    ENETUNREACH,
    ENOTSOCK,
    EPERM,
    EPROTOTYPE,
    ETIMEDOUT,
];

const EXEC: [Errno; 17] = [
    E2BIG,
    EACCES,
    EAGAIN,
    EINVAL,
    EIO,
    EISDIR,
    ELIBBAD,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENFILE,
    ENOENT,
    ENOEXEC,
    ENOMEM,
    ENOTDIR,
    EPERM,
    ETXTBSY,
];

const OPEN: [Errno; 13] = [
    EACCES,
    EBUSY,
    EINTR,
    EINVAL,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENFILE,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    EPERM,
];

/// Errnos that stay until something else changes: more descriptors, or more memory.
const LASTING: &[Errno] = &[EMFILE, ENFILE, ENOMEM, ENOSPC];

/// Calls that are not made to fail, with the reason.
pub const LEFT_OUT: &[(&[&str], &str)] = &[
    (
        &["brk", "mmap", "munmap", "mprotect", "madvise", "mremap"],
        "memory: a Rust program that gets none is aborted",
    ),
    (&["futex", "sched_yield"], "a lock that must wait cannot give up; which thread waits is chance"),
    (&["exit", "exit_group", "rt_sigreturn"], "cannot fail"),
    (
        &["getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "umask", "clock_gettime"],
        "cannot fail with these arguments",
    ),
    (
        &[
            "set_tid_address",
            "set_robust_list",
            "rseq",
            "arch_prctl",
            "prlimit64",
            "access",
            "pread64",
            "sigaltstack",
        ],
        "the start of a thread or program, by the C library",
    ),
    (&["rt_sigprocmask"], "EINVAL only for a constant that is wrong; nix does not pass it on"),
    (&["fcntl(F_GETFD)"], "std's check in debug builds, before it closes a descriptor"),
    (&["tgkill"], "raise(3): the signal that the operation waits for"),
    (&["restart_syscall"], "made by the kernel, in place of an interrupted call"),
];

/// The errnos with which a call of this name is made to fail.
pub fn errnos(call: &str) -> Vec<Errno> {
    let found = CALLS.iter().find(|(names, ..)| names.contains(&call));
    let mut errnos: Vec<Errno> = found.map_or(vec![], |(_, own, sandbox)| [*own, *sandbox].concat());
    errnos.sort_by_key(|errno| *errno as i32);
    errnos.dedup();
    errnos
}

/// Those of them that last: what the machine is short of, and what a sandbox refuses.
pub fn lasting(call: &str) -> Vec<Errno> {
    let sandboxed = CALLS.iter().any(|(names, _, sandbox)| names.contains(&call) && !sandbox.is_empty());
    let lasts = |errno: &Errno| LASTING.contains(errno) || sandboxed && SANDBOX.contains(errno);
    errnos(call).into_iter().filter(lasts).collect()
}

/// Does this module say nothing about this call?
pub fn is_unknown(call: &str) -> bool {
    errnos(call).is_empty() && !LEFT_OUT.iter().any(|(names, _)| names.contains(&call))
}
