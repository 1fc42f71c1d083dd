//! The simulated kernels that `capture` can run on, by the name that a test uses.
//!
//! `fork=EAGAIN,wait4:1..200=EINTR,read:2..=EIO`: each fork of the caller fails with EAGAIN, its first 200 calls of wait4
//! with EINTR, and each read but the first with EIO. The child and the program have the real kernel, unless the name
//! begins with `child:`.

use std::ops::RangeInclusive;

use nix::errno::Errno;
use testing::tracer::{self, Call};

/// Which calls fail.
pub struct Kernel {
    failures: Vec<Failure>,
    /// Do calls of the child fail, too?
    in_the_child: bool,
}

struct Failure {
    call: String,
    /// The number of the first of these calls that fails, and of the last.
    range: RangeInclusive<usize>,
    /// How many of these calls were made.
    made: usize,
    errno: Errno,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    let (words, in_the_child) = words.strip_prefix("child:").map_or((words, false), |rest| (rest, true));
    Some(Kernel { failures: words.split(',').map(failure).collect::<Option<_>>()?, in_the_child })
}

fn failure(words: &str) -> Option<Failure> {
    let (call, errno) = words.split_once('=')?;
    let (call, range) = call.split_once(':').unwrap_or((call, "1.."));
    let (first, last) = range.split_once("..")?;
    let last = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    let errno = (1..=133).map(Errno::from_raw).find(|each| format!("{each:?}") == errno)?;
    Some(Failure { call: call.into(), range: first.parse().ok()?..=last, made: 0, errno })
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        self.failures.iter().any(|failure| failure.call == call.name).then(|| call.name.into())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let failure = self.failures.iter_mut().find(|failure| failure.call == call.name)?;
        failure.made += 1;
        failure.range.contains(&failure.made).then_some(-(failure.errno as i64))
    }

    fn serves_children(&self) -> bool {
        self.in_the_child
    }
}
