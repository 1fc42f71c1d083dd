//! The documented ways out: what an operation does about a call that failed, instead of returning its errno.

use nix::errno::Errno::{self, *};

use crate::Fault;

/// A way out.
#[derive(Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Its name, as in the tables.
    pub name: &'static str,
    /// The beginnings or the ends of the operations' names.
    pub operations: &'static [&'static str],
    /// The calls.
    pub calls: &'static [&'static str],
    /// The errnos; all of them if there is none here.
    pub errnos: &'static [Errno],
}

impl Fallback {
    const fn new(
        operations: &'static [&'static str],
        calls: &'static [&'static str],
        errnos: &'static [Errno],
        name: &'static str,
    ) -> Self {
        Self { name, operations, calls, errnos }
    }

    /// Does it answer this fault?
    pub fn is_for(&self, operation: &str, fault: &Fault) -> bool {
        self.operations.iter().any(|part| operation.starts_with(part) || operation.ends_with(part))
            && self.calls.contains(&&*fault.place.call)
            && (self.errnos.is_empty() || self.errnos.contains(&fault.errno))
    }
}

const ANY: &[&str] = &[""];
const ON_LISTS: &[&str] = &[", on poll", ", on select"];
const WAITS: &[&str] = &["epoll_wait", "epoll_pwait2", "poll", "ppoll", "pselect6"];

/// All ways out. The first that fits a fault is the one that counts.
pub const FALLBACKS: &[Fallback] = &[
    Fallback::new(ANY, &["close"], &[], "the descriptor is closed, whatever close(2) returns"),
    Fallback::new(
        &["prefork: listen"],
        &["connect", "statx"],
        &[],
        "the file stays, because a server may have it: EADDRINUSE",
    ),
    Fallback::new(&["prefork: listen"], &["bind"], &[EADDRINUSE], "a stale socket is replaced"),
    Fallback::new(
        ANY,
        &["openat", "read", "write", "wait4", "waitid"],
        &[EINTR],
        "interrupted: the call is made again",
    ),
    Fallback::new(ANY, WAITS, &[EINTR], "interrupted: the loop looks at everything, and waits again"),
    Fallback::new(ANY, &["statx", "lseek"], &[], "std reads a file without knowing its size"),
    Fallback::new(ANY, &["rt_sigaction"], &[], "a disposition that cannot be read or restored stays"),
    Fallback::new(
        &["ioloop", "httpserver"],
        &["epoll_pwait2"],
        &[ENOSYS, EPERM],
        "timeouts in milliseconds, with epoll_wait",
    ),
    Fallback::new(
        &["ioloop", "httpserver"],
        &["pselect6"],
        &[EBADF],
        "select looks for the descriptor that is closed",
    ),
    Fallback::new(
        ON_LISTS,
        &["epoll_create1"],
        &[],
        "there is no epoll to ask, so fstat(2) says whether the descriptor is a file",
    ),
    Fallback::new(
        ON_LISTS,
        &["epoll_ctl"],
        &[EEXIST, ENOENT, ENOMEM, ENOSPC],
        "the epoll is only a probe for what can be watched, so its limits do not matter",
    ),
    Fallback::new(
        &["ioloop: remove", "httpserver: stop"],
        &["epoll_ctl"],
        &[],
        "the loop moves to a new epoll",
    ),
    Fallback::new(
        &["ioloop: wake", "waker"],
        &["write"],
        &[EAGAIN],
        "a waker that is full is ready: nothing has to be written",
    ),
    Fallback::new(
        &["ioloop", "waker", "prefork: supervise"],
        &["read"],
        &[EAGAIN],
        "nothing to read: the next wait reports when there is",
    ),
    Fallback::new(&["ioloop: wake"], &["read"], &[], "a waker whose read failed is read once more"),
    Fallback::new(
        &["ioloop: wake by a signal", "waker: signal"],
        &["write"],
        &[],
        "a signal whose wake failed stays in the set: the next wake finds it",
    ),
    Fallback::new(
        &["ioloop: accept", "prefork: accept", "httpserver"],
        &["accept4"],
        &[EAGAIN],
        "the queue seems to be empty: the next wait reports the next client",
    ),
    Fallback::new(
        &["ioloop: accept", "prefork: accept", "httpserver"],
        &["accept4"],
        &[EMFILE, ENFILE],
        "the client is closed and counted, with the spare descriptor",
    ),
    Fallback::new(
        &["ioloop: accept", "httpserver"],
        &["accept4"],
        &[ENOBUFS, ENOMEM],
        "the listener is paused for a tenth of a second",
    ),
    Fallback::new(
        &["ioloop: accept", "prefork: accept", "httpserver"],
        &["accept4"],
        &[ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, EPERM],
        "only that client is lost: the next one is accepted",
    ),
    Fallback::new(
        &["ioloop: accept", "prefork: accept", "httpserver"],
        &["accept4"],
        &[EINTR],
        "interrupted: no client is lost, and the server accepts again",
    ),
    Fallback::new(
        &["httpserver"],
        &["recvfrom"],
        &[EAGAIN, EINTR],
        "nothing to read: the next wait reports when there is",
    ),
    Fallback::new(
        &["httpserver"],
        &["sendto"],
        &[EAGAIN, EINTR],
        "the client takes nothing now: a later wait reports when there is room",
    ),
    Fallback::new(
        &["httpserver"],
        &["recvfrom", "sendto", "shutdown"],
        &[],
        "that connection is closed and counted, and the others are served",
    ),
    Fallback::new(
        &["httpserver"],
        &["setsockopt"],
        &[],
        "a socket option that cannot be set keeps its old value",
    ),
    Fallback::new(
        &["prefork: bind"],
        &["socket"],
        &[EAFNOSUPPORT],
        "a family that the kernel lacks is skipped",
    ),
    Fallback::new(&["prefork: bind"], &["bind", "listen"], &[EADDRINUSE], "another free port is tried"),
    Fallback::new(&["prefork"], &["getrandom"], &[], "the child's generator is seeded with its process id"),
    Fallback::new(
        &["prefork: supervise"],
        &["prctl", "fcntl(F_SETOWN)", "fcntl(F_SETSIG)", "fcntl(F_SETFL)"],
        &[],
        "one way to die with the parent suffices; a child with none exits with 1 and is restarted, up to the limit",
    ),
    Fallback::new(
        &["prefork: supervise"],
        &["read"],
        &[],
        "a child that cannot read its lifeline goes on: it still gets SIGKILL",
    ),
    Fallback::new(
        &["prefork: supervise"],
        &["pidfd_send_signal"],
        &[],
        "kill(2), if a sandbox refuses; else SIGKILL after the grace period",
    ),
    Fallback::new(&["prefork"], &["waitid"], &[ENOSYS, EPERM], "the child is waited for by its process id"),
    Fallback::new(
        &["cloexec: pass"],
        &["close_range"],
        &[ENOSYS, EPERM, EINVAL],
        "close-on-exec is set on each descriptor of /proc/self/fd",
    ),
    Fallback::new(
        &["cloexec: pass"],
        &["read"],
        &[],
        "the caller cannot read why the program was not started: the child exits with 127",
    ),
    Fallback::new(
        &["process: capture"],
        &["write"],
        &[EPIPE],
        "the program does not want the rest of its input",
    ),
    Fallback::new(
        &["process: capture"],
        &["dup2", "execve"],
        &[],
        "the program that could not be started exits with 127",
    ),
];
