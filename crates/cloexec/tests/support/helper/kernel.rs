//! Which kernel a scenario meets, in the words of a test.
//!
//! `as-it-is`; `second-flag`, since today's has one descriptor flag, so that nobody can see whether code leaves
//! "the others" alone; or `close_range=ENOSYS`, since there is none at hand without that call.

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

use super::calls;

/// A descriptor flag that no kernel has yet.
const SECOND_FLAG: i64 = 1 << 1;

/// What is different about it.
pub enum Kernel {
    AsItIs,
    SecondFlag,
    CloseRangeFails(Errno),
}

/// Nothing for words that mean nothing.
pub fn parse(words: &str) -> Option<Kernel> {
    Some(match words {
        "as-it-is" => Kernel::AsItIs,
        "second-flag" => Kernel::SecondFlag,
        "close_range=ENOSYS" => Kernel::CloseRangeFails(Errno::ENOSYS),
        "close_range=EPERM" => Kernel::CloseRangeFails(Errno::EPERM),
        "close_range=EINVAL" => Kernel::CloseRangeFails(Errno::EINVAL),
        "close_range=ENOMEM" => Kernel::CloseRangeFails(Errno::ENOMEM),
        _ => return None,
    })
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        calls::words(call)
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        match self {
            Self::CloseRangeFails(errno) if call.name == "close_range" => Some(-(*errno as i64)),
            _ => None,
        }
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        let getfd = call.name == "fcntl" && call.args[1] as i32 == libc::F_GETFD;
        match self {
            Self::SecondFlag if getfd && answer >= 0 => answer | SECOND_FLAG,
            _ => answer,
        }
    }
}
