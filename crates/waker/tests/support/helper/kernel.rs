//! Which kernel a scenario meets, in the words of a test.
//!
//! `as-it-is`; or `eintr`, which answers the first read and the first write with EINTR, as an interrupted call
//! that slept would: today's kernel never does that to a nonblocking one, and the man pages permit it.

use nix::errno::Errno;
use testing::tracer::{self, Call};

/// Is the next read, and the next write, to be interrupted?
pub struct Kernel {
    read: bool,
    write: bool,
}

/// Nothing for words that mean nothing.
pub fn parse(words: &str) -> Option<Kernel> {
    match words {
        "as-it-is" => Some(Kernel { read: false, write: false }),
        "eintr" => Some(Kernel { read: true, write: true }),
        _ => None,
    }
}

impl tracer::Kernel for Kernel {
    /// Every call, since a wake is to be one write and nothing else.
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
