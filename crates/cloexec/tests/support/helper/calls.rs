//! System calls in words: only the calls that make descriptors, or change their flags or options.

use nix::libc;
use testing::tracer::Call;

/// Describes a call, for example `openat flags=02000000 mode=0 cloexec`. `None` for any other call.
pub fn words(call: &Call) -> Option<String> {
    let [first, second, third, fourth] = call.args;
    let cloexec = |flags: u64| cloexec(flags & libc::O_CLOEXEC as u64 != 0);
    Some(match call.name {
        "open" => format!("open flags=0{second:o} mode=0{third:o} {}", cloexec(second)),
        "openat" => format!("openat flags=0{third:o} mode=0{fourth:o} {}", cloexec(third)),
        "creat" => "creat no-cloexec".into(),
        "pipe" => "pipe no-cloexec".into(),
        "pipe2" => format!("pipe2 flags=0{second:o} {}", cloexec(second)),
        "socket" => {
            let kind = second & !((libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64);
            format!("socket family={first} type={kind} {}", cloexec(second))
        }
        "socketpair" => format!("socketpair {}", cloexec(second)),
        "setsockopt" => format!("setsockopt level={second} option={third}"),
        "dup" => "dup no-cloexec".into(),
        "dup2" => "dup2 no-cloexec".into(),
        "dup3" => format!("dup3 {}", cloexec(third)),
        "ioctl" if second as libc::c_ulong == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
        "ioctl" if second as libc::c_ulong == libc::FIONCLEX => "ioctl(FIONCLEX)".into(),
        "close_range" => format!("close_range {} {} {third}", first as u32, second as u32),
        "fcntl" => match second as i32 {
            libc::F_DUPFD => "fcntl(F_DUPFD) no-cloexec".into(),
            libc::F_DUPFD_CLOEXEC => "fcntl(F_DUPFD_CLOEXEC) cloexec".into(),
            libc::F_GETFD => "fcntl(F_GETFD)".into(),
            libc::F_SETFD => format!("fcntl(F_SETFD) {third}"),
            libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
            libc::F_SETPIPE_SZ => format!("fcntl(F_SETPIPE_SZ) {third}"),
            _ => return None,
        },
        _ => return None,
    })
}

fn cloexec(yes: bool) -> &'static str {
    if yes { "cloexec" } else { "no-cloexec" }
}
