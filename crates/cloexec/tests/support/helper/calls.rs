//! System calls in words: the ones that make descriptors or change their flags, and nothing else.

use nix::libc;
use testing::tracer::Call;

/// `openat flags=02000000 mode=0 marked`, or nothing for a call that is not about descriptors.
pub fn words(call: &Call) -> Option<String> {
    let [first, second, third, fourth] = call.args;
    let marked = |flags: u64| marked(flags & libc::O_CLOEXEC as u64 != 0);
    Some(match call.name {
        "open" => format!("open flags=0{second:o} mode=0{third:o} {}", marked(second)),
        "openat" => format!("openat flags=0{third:o} mode=0{fourth:o} {}", marked(third)),
        "creat" => "creat unmarked".into(),
        "pipe" => "pipe unmarked".into(),
        "pipe2" => format!("pipe2 {}", marked(second)),
        "socket" => {
            let kind = second & !((libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64);
            format!("socket family={first} type={kind} {}", marked(second))
        }
        "socketpair" => format!("socketpair {}", marked(second)),
        "dup" => "dup unmarked".into(),
        "dup2" => "dup2 unmarked".into(),
        "dup3" => format!("dup3 {}", marked(third)),
        "ioctl" if second == libc::FIOCLEX => "ioctl(FIOCLEX)".into(),
        "ioctl" if second == libc::FIONCLEX => "ioctl(FIONCLEX)".into(),
        "close_range" => format!("close_range {} {} {third}", first as u32, second as u32),
        "fcntl" => match second as i32 {
            libc::F_DUPFD => "fcntl(F_DUPFD) unmarked".into(),
            libc::F_DUPFD_CLOEXEC => "fcntl(F_DUPFD_CLOEXEC) marked".into(),
            libc::F_GETFD => "fcntl(F_GETFD)".into(),
            libc::F_SETFD => format!("fcntl(F_SETFD) {third}"),
            libc::F_SETFL => format!("fcntl(F_SETFL) 0{third:o}"),
            _ => return None,
        },
        _ => return None,
    })
}

fn marked(yes: bool) -> &'static str {
    if yes { "marked" } else { "unmarked" }
}
