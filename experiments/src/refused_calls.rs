//! Which ordinary system calls this machine refuses: a sandbox does, and a kernel that does not know them. What a refused call
//! returns is no answer of the kernel's.

use std::sync::OnceLock;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::unistd::getpid;

/// A system call by its name and number, and its second argument.
type Call = (&'static str, c_long, c_long);

/// No descriptor, pointer, clock, flag, signal or length is -1.
const NONE: c_long = -1;

/// Each constant with its name.
macro_rules! named {
    ($($number:ident)+) => { &[$((stringify!($number), libc::$number, NONE)),+] };
}

/// Calls that do many things: one of them may be refused alone. Each constant with its name.
macro_rules! commands {
    ($($number:ident: $($command:ident)+;)+) => {
        &[$($((stringify!($command), libc::$number, libc::$command as c_long)),+),+]
    };
}

/// The calls that an experiment, the book's server or Rust's std may make, and that every container permits. Those that some
/// kernels and ordinary containers lack, such as ptrace and pidfd_open, are not among them: experiments expect that.
const CALLS: &[Call] = named! {
    SYS_accept4 SYS_bind SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_connect SYS_dup SYS_dup3 SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_fcntl SYS_fstat SYS_ftruncate SYS_getdents64 SYS_getitimer
    SYS_getpeername SYS_getrandom SYS_getrusage SYS_getsockname SYS_getsockopt SYS_ioctl SYS_kill SYS_listen SYS_lseek
    SYS_memfd_create SYS_nanosleep SYS_pipe2 SYS_ppoll SYS_prctl SYS_pread64 SYS_prlimit64
    SYS_pselect6 SYS_pwrite64 SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmsg SYS_rt_sigpending
    SYS_rt_sigqueueinfo SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_sched_getaffinity SYS_sched_setaffinity
    SYS_sendmsg SYS_sendto SYS_setitimer SYS_setsockopt SYS_shutdown SYS_signalfd4 SYS_socket SYS_socketpair
    SYS_tgkill SYS_timer_create SYS_timer_settime SYS_timerfd_create SYS_timerfd_settime SYS_tkill SYS_wait4
    SYS_waitid SYS_writev
};

/// The same, of calls that newer architectures do not have.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
const OLD: &[Call] = named! {
    SYS_dup2 SYS_epoll_wait SYS_pipe SYS_poll SYS_select
};
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
const OLD: &[Call] = &[];

const COMMANDS: &[Call] = commands! {
    SYS_fcntl: F_DUPFD F_DUPFD_CLOEXEC F_GETFD F_SETFD F_GETFL F_SETFL F_GETPIPE_SZ F_SETPIPE_SZ;
    SYS_ioctl: FIONBIO FIONREAD;
};

/// What was refused when this was called first.
static REFUSED: OnceLock<Option<String>> = OnceLock::new();

/// The calls that are refused here, in words; without those that the experiment refuses itself, by `Lab::refuse`, which calls
/// this first.
pub(crate) fn refused() -> Option<&'static str> {
    REFUSED.get_or_init(|| refused_of(all())).as_deref()
}

/// Those of these calls that are refused now, in words: `dup2 (EPERM)`.
pub(crate) fn refused_among(numbers: &[c_long]) -> Option<String> {
    refused_of(all().filter(|(_, number, _)| numbers.contains(number)))
}

fn all() -> impl Iterator<Item = Call> {
    [CALLS, OLD, COMMANDS].into_iter().flatten().copied()
}

fn refused_of(calls: impl Iterator<Item = Call>) -> Option<String> {
    let refused = calls.filter_map(|call @ (name, ..)| {
        let errno = answer(call).filter(|errno| is_refusal(*errno))?;
        Some(format!("{} ({errno:?})", name.trim_start_matches("SYS_")))
    });
    let refused: Vec<String> = refused.collect();
    (!refused.is_empty()).then(|| format!("system calls that are refused here: {}", refused.join(", ")))
}

/// What a sandbox answers in the kernel's place, and what a kernel answers that does not know the call.
fn is_refusal(errno: Errno) -> bool {
    [Errno::EPERM, Errno::EACCES, Errno::ENOSYS].contains(&errno)
}

/// Make the call with arguments that do not exist, and give its errno.
fn answer((_, number, second): Call) -> Option<Errno> {
    // Of processes, -1 means all. So kill gets this one.
    let first = if number == libc::SYS_kill { getpid().as_raw().into() } else { NONE };
    // SAFETY: there is no memory at -1, so the kernel reads and writes none.
    Errno::result(unsafe { libc::syscall(number, first, second, NONE, NONE, NONE, NONE) }).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_permitted_finds_nothing_and_changes_nothing() {
        for call in all() {
            let answer = answer(call);
            let harmless = [Errno::EBADF, Errno::EFAULT, Errno::EINVAL, Errno::ESRCH];
            let expected = answer.is_some_and(|errno| harmless.contains(&errno) || is_refusal(errno));
            assert!(expected, "{}: {answer:?}; it should fail, because none of its arguments exists", call.0);
        }
    }
}
