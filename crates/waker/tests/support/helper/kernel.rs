//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. With `eintr`, the first 200 reads and the first 200 writes fail with EINTR; with
//! `eintr-again`, every second read and every second write. The real kernel does that only to calls that sleep, but the
//! man pages permit it for nonblocking calls too.

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

/// Which reads and writes are interrupted.
pub struct Kernel {
    interrupts: fn(usize) -> bool,
    /// The numbers of calls so far.
    reads: usize,
    writes: usize,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    let interrupts: fn(usize) -> bool = match words {
        "as-it-is" => |_| false,
        "eintr" => |call| call <= 200,
        "eintr-again" => |call| call % 2 == 0,
        _ => return None,
    };
    Some(Kernel { interrupts, reads: 0, writes: 0 })
}

impl tracer::Kernel for Kernel {
    /// Describes every call, because a wake should make one write and no other call. A call that makes descriptors is
    /// followed by `cloexec` or `no-cloexec`.
    fn words(&self, call: &Call) -> Option<String> {
        let [_, second, third, _] = call.args;
        let flags = match call.name {
            "pipe2" | "eventfd2" | "socketpair" => second,
            "dup3" => third,
            "fcntl" if second as i32 == libc::F_DUPFD_CLOEXEC => libc::O_CLOEXEC as u64,
            "fcntl" if second as i32 == libc::F_DUPFD => 0,
            "pipe" | "eventfd" | "dup" | "dup2" => 0,
            _ => return Some(call.name.into()),
        };
        let cloexec = if flags & libc::O_CLOEXEC as u64 != 0 { "cloexec" } else { "no-cloexec" };
        Some(format!("{} {cloexec}", call.name))
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let calls = match call.name {
            "read" | "readv" => &mut self.reads,
            "write" | "writev" => &mut self.writes,
            _ => return None,
        };
        *calls += 1;
        (self.interrupts)(*calls).then_some(-(Errno::EINTR as i64))
    }
}
