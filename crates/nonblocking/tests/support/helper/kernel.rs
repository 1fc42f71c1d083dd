//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. `status-flag` has one more status flag. A list like `read:1=EINTR,read:3=EIO` lets the
//! first and the third read fail with that errno and do nothing; `write:1=0` lets the first write return 0.
//!
//! A real kernel never interrupts a read from a nonblocking pipe, because that read never sleeps. Other nonblocking
//! descriptors make no such promise, so here a test chooses the read that is interrupted.

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

use super::calls::{self, Kind};

/// A status flag that no kernel has yet.
const STATUS_FLAG: i64 = 1 << 29;

/// How the simulated kernel differs from the real one.
#[derive(Default)]
pub struct Kernel {
    status_flag: bool,
    /// Which reads and writes to simulate, counted from 1, and their results.
    answers: Vec<(Kind, usize, i64)>,
    /// The numbers of calls so far.
    reads: usize,
    writes: usize,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    match words {
        "as-it-is" => Some(Kernel::default()),
        "status-flag" => Some(Kernel { status_flag: true, ..Kernel::default() }),
        _ => {
            let answers = words.split(',').map(answer).collect::<Option<_>>()?;
            Some(Kernel { answers, ..Kernel::default() })
        }
    }
}

fn answer(word: &str) -> Option<(Kind, usize, i64)> {
    let (call, answer) = word.split_once('=')?;
    let (kind, turn) = call.split_once(':')?;
    let kind = match kind {
        "read" => Kind::Read,
        "write" => Kind::Write,
        _ => return None,
    };
    let answer = match answer {
        "0" => 0,
        "EINTR" => -(Errno::EINTR as i64),
        "EIO" => -(Errno::EIO as i64),
        "ENOSPC" => -(Errno::ENOSPC as i64),
        _ => return None,
    };
    Some((kind, turn.parse().ok()?, answer))
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        calls::words(call)
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let kind = calls::kind(call)?;
        let turn = match kind {
            Kind::Read => &mut self.reads,
            Kind::Write => &mut self.writes,
        };
        *turn += 1;
        self.answers.iter().find(|each| each.0 == kind && each.1 == *turn).map(|each| each.2)
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        let getfl = call.name == "fcntl" && call.args[1] as i32 == libc::F_GETFL;
        if self.status_flag && getfl && answer >= 0 { answer | STATUS_FLAG } else { answer }
    }
}
