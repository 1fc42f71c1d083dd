//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. `second-flag` has a second descriptor flag: the real kernel has only one, so there a
//! test cannot see whether code keeps the other flags. `close_range=ENOSYS` and its like fail that call, because
//! kernels without it are rare by now. `in-use:close_range=ENOMEM` fails it only for a range that can contain an open
//! descriptor. `dup2=EBUSY` and `F_DUPFD=EMFILE` fail the calls that copy a descriptor. On `F_SETFD=EPERM` the flag cannot
//! be set by `close_range` (ENOSYS), nor on one descriptor. With `interrupts`, the first 200 reads and the first 200 waits
//! fail with EINTR. On `no-proc` nothing can be opened either, as where /proc is not mounted. On any other kernel of the form
//! `getdents64=EIO,fcntl(F_SETFD)=EBADF`, these calls always fail.

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
    CloseRangeInUseFails,
    CopyToFails,
    CopyFails,
    SetFlagFails,
    NoProc,
    Interrupts { reads: usize, waits: usize },
    Fails(Vec<(String, Errno)>),
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
        "in-use:close_range=ENOMEM" => Kernel::CloseRangeInUseFails,
        "dup2=EBUSY" => Kernel::CopyToFails,
        "F_DUPFD=EMFILE" => Kernel::CopyFails,
        "F_SETFD=EPERM" => Kernel::SetFlagFails,
        "interrupts" => Kernel::Interrupts { reads: 200, waits: 200 },
        "no-proc" => Kernel::NoProc,
        _ => Kernel::Fails(words.split(',').map(failure).collect::<Option<_>>()?),
    })
}

/// A call by its name, or by its words in `calls`, and the errno with which it fails.
fn failure(words: &str) -> Option<(String, Errno)> {
    let (call, errno) = words.split_once('=')?;
    let known =
        [Errno::EAGAIN, Errno::EBADF, Errno::EINVAL, Errno::EIO, Errno::ENOMEM, Errno::ENOSYS, Errno::EPERM];
    Some((call.into(), known.into_iter().find(|each| format!("{each:?}") == errno)?))
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        calls::words(call)
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let [first, second, ..] = call.args.map(|arg| arg as u32);
        let fcntl = |one, other| call.name == "fcntl" && [one, other].contains(&(second as i32));
        match self {
            Self::Interrupts { reads, waits } => {
                let left = match call.name {
                    "read" => reads,
                    "wait4" | "waitid" => waits,
                    _ => return None,
                };
                *left = left.checked_sub(1)?;
                Some(-(Errno::EINTR as i64))
            }
            Self::Fails(calls) => {
                let words = calls::words(call).unwrap_or_default();
                let failed = |name: &str| call.name == name || words.split(' ').next() == Some(name);
                calls.iter().find(|(name, _)| failed(name)).map(|(_, errno)| -(*errno as i64))
            }
            Self::CloseRangeFails(errno) if call.name == "close_range" => Some(-(*errno as i64)),
            // The helper has no descriptor above 1023, so that code may ask there whether the kernel has the call.
            Self::CloseRangeInUseFails if call.name == "close_range" && first < 1024 => {
                Some(-(Errno::ENOMEM as i64))
            }
            Self::CopyToFails if matches!(call.name, "dup2" | "dup3") => Some(-(Errno::EBUSY as i64)),
            Self::CopyFails if fcntl(libc::F_DUPFD, libc::F_DUPFD_CLOEXEC) => Some(-(Errno::EMFILE as i64)),
            Self::SetFlagFails if fcntl(libc::F_SETFD, libc::F_SETFD) || call.name == "ioctl" => {
                Some(-(Errno::EPERM as i64))
            }
            Self::NoProc | Self::SecondFlagWithoutCloseRange | Self::SetFlagFails
                if call.name == "close_range" =>
            {
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
