//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. `second-flag` has a second descriptor flag: the real kernel has only one, so there a
//! test cannot see whether code keeps the other flags. `close_range=ENOSYS` and its like fail that call, because
//! kernels without it are rare by now. With `interrupts`, the first read and the first wait fail with EINTR. On `no-proc` nothing can be opened either, as where /proc is not mounted.

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

use super::calls;

/// A descriptor flag that no kernel has yet.
const SECOND_FLAG: i64 = 1 << 1;

/// How the simulated kernel differs from the real one.
pub enum Kernel {
    AsItIs,
    SecondFlag,
    SecondFlagWithoutCloseRange,
    CloseRangeFails(Errno),
    NoProc,
    Interrupts { read: bool, wait: bool },
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    Some(match words {
        "as-it-is" => Kernel::AsItIs,
        "second-flag" => Kernel::SecondFlag,
        "second-flag,close_range=ENOSYS" => Kernel::SecondFlagWithoutCloseRange,
        "close_range=ENOSYS" => Kernel::CloseRangeFails(Errno::ENOSYS),
        "close_range=EPERM" => Kernel::CloseRangeFails(Errno::EPERM),
        "close_range=EINVAL" => Kernel::CloseRangeFails(Errno::EINVAL),
        "close_range=ENOMEM" => Kernel::CloseRangeFails(Errno::ENOMEM),
        "interrupts" => Kernel::Interrupts { read: true, wait: true },
        "no-proc" => Kernel::NoProc,
        _ => return None,
    })
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        calls::words(call)
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        match self {
            Self::Interrupts { read, wait } => {
                let next = match call.name {
                    "read" => read,
                    "wait4" | "waitid" => wait,
                    _ => return None,
                };
                std::mem::take(next).then_some(-(Errno::EINTR as i64))
            }
            Self::CloseRangeFails(errno) if call.name == "close_range" => Some(-(*errno as i64)),
            Self::NoProc | Self::SecondFlagWithoutCloseRange if call.name == "close_range" => {
                Some(-(Errno::ENOSYS as i64))
            }
            Self::NoProc if matches!(call.name, "open" | "openat") => Some(-(Errno::ENOENT as i64)),
            _ => None,
        }
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        let getfd = call.name == "fcntl" && call.args[1] as i32 == libc::F_GETFD;
        match self {
            Self::SecondFlag | Self::SecondFlagWithoutCloseRange if getfd && answer >= 0 => {
                answer | SECOND_FLAG
            }
            _ => answer,
        }
    }
}
