//! System calls in words: only the calls that this crate is about.

use nix::libc;
use testing::tracer::Call;

/// A group of calls that a simulated kernel treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

/// Returns the group of a call, if it reads or writes.
pub fn kind(call: &Call) -> Option<Kind> {
    match call.name {
        "read" | "readv" | "preadv2" | "recvfrom" | "recvmsg" => Some(Kind::Read),
        "write" | "writev" | "pwritev2" | "sendto" | "sendmsg" => Some(Kind::Write),
        _ => None,
    }
}

/// Describes a call, for example `pipe2 nonblocking cloexec`. `None` for any other call.
pub fn words(call: &Call) -> Option<String> {
    let [first, second, third, _] = call.args;
    Some(match call.name {
        "pipe" => "pipe blocking no-cloexec".into(),
        "pipe2" => format!("pipe2 {}", initial_flags(second)),
        "ioctl" if second as libc::c_ulong == libc::FIONBIO => "ioctl(FIONBIO)".into(),
        "ioctl" if second as libc::c_ulong == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
        "fcntl" => match second as i32 {
            libc::F_GETFD => "fcntl(F_GETFD)".into(),
            libc::F_SETFD => format!("fcntl(F_SETFD) 0{third:o}"),
            libc::F_GETFL => "fcntl(F_GETFL)".into(),
            libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
            libc::F_GETPIPE_SZ => "fcntl(F_GETPIPE_SZ)".into(),
            libc::F_SETPIPE_SZ => format!("fcntl(F_SETPIPE_SZ) {}", third as u32),
            _ => return None,
        },
        // Calls that wait.
        "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "nanosleep" | "clock_nanosleep"
        | "sched_yield" => call.name.into(),
        _ => match kind(call)? {
            Kind::Read => format!("read {first}"),
            Kind::Write => format!("write {first}"),
        },
    })
}

fn initial_flags(flags: u64) -> String {
    let has = |flag: i32| flags & flag as u64 != 0;
    let blocks = if has(libc::O_NONBLOCK) { "nonblocking" } else { "blocking" };
    let cloexec = if has(libc::O_CLOEXEC) { "cloexec" } else { "no-cloexec" };
    format!("{blocks} {cloexec}")
}
