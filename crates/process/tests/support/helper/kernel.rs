//! The simulated kernels that `capture` can run on, by the name that a test uses.
//!
//! `fork=EAGAIN,wait4:1..200=EINTR`: each fork of the caller fails with EAGAIN, and its first 200 calls of wait4 with EINTR.
//! The child and the program have the real kernel.

use nix::errno::Errno;
use testing::tracer::{self, Call};

/// Which calls fail.
pub struct Kernel {
    failures: Vec<Failure>,
}

struct Failure {
    call: String,
    /// How many more of these calls fail.
    left: usize,
    errno: Errno,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    Some(Kernel { failures: words.split(',').map(failure).collect::<Option<_>>()? })
}

fn failure(words: &str) -> Option<Failure> {
    let (call, errno) = words.split_once('=')?;
    let (call, left) = match call.split_once(":1..") {
        Some((call, last)) => (call, last.parse().ok()?),
        None => (call, usize::MAX),
    };
    let errno = (1..=133).map(Errno::from_raw).find(|each| format!("{each:?}") == errno)?;
    Some(Failure { call: call.into(), left, errno })
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        self.failures.iter().any(|failure| failure.call == call.name).then(|| call.name.into())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let failure =
            self.failures.iter_mut().find(|failure| failure.call == call.name && failure.left > 0)?;
        failure.left -= 1;
        Some(-(failure.errno as i64))
    }

    fn serves_children(&self) -> bool {
        false
    }
}
