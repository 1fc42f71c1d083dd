//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. With `eintr`, the first read and the first write fail with EINTR. The real kernel does
//! that only to calls that sleep, but the man pages permit it for nonblocking calls too.

use nix::errno::Errno;
use testing::tracer::{self, Call};

/// Whether the next read and the next write are interrupted.
pub struct Kernel {
    read: bool,
    write: bool,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    match words {
        "as-it-is" => Some(Kernel { read: false, write: false }),
        "eintr" => Some(Kernel { read: true, write: true }),
        _ => None,
    }
}

impl tracer::Kernel for Kernel {
    /// Describes every call, because a wake should make one write and no other call.
    fn words(&self, call: &Call) -> Option<String> {
        Some(call.name.into())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let next = match call.name {
            "read" => &mut self.read,
            "write" => &mut self.write,
            _ => return None,
        };
        std::mem::take(next).then_some(-(Errno::EINTR as i64))
    }
}
