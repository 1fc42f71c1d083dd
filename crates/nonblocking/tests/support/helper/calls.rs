//! System calls in words: the ones that this crate is about, and nothing else.

use nix::libc;
use testing::tracer::Call;

/// Calls that do the same for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

/// Does it read or write?
pub fn kind(call: &Call) -> Option<Kind> {
    match call.name {
        "read" | "readv" | "preadv2" | "recvfrom" | "recvmsg" => Some(Kind::Read),
        "write" | "writev" | "pwritev2" | "sendto" | "sendmsg" => Some(Kind::Write),
        _ => None,
    }
}

/// `pipe2 nonblocking marked`, or nothing for a call that is about something else.
pub fn words(call: &Call) -> Option<String> {
    let [first, second, third, _] = call.args;
    Some(match call.name {
        "pipe" => "pipe blocking unmarked".into(),
        "pipe2" => format!("pipe2 {}", born(second)),
        "ioctl" if second == libc::FIONBIO => "ioctl(FIONBIO)".into(),
        "ioctl" if second == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
        "fcntl" => match second as i32 {
            libc::F_GETFD => "fcntl(F_GETFD)".into(),
            libc::F_SETFD => format!("fcntl(F_SETFD) 0{third:o}"),
            libc::F_GETFL => "fcntl(F_GETFL)".into(),
            libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
            _ => return None,
        },
        _ => match kind(call)? {
            Kind::Read => format!("read {first}"),
            Kind::Write => format!("write {first}"),
        },
    })
}

fn born(flags: u64) -> String {
    let has = |flag: i32| flags & flag as u64 != 0;
    let blocks = if has(libc::O_NONBLOCK) { "nonblocking" } else { "blocking" };
    let marked = if has(libc::O_CLOEXEC) { "marked" } else { "unmarked" };
    format!("{blocks} {marked}")
}
