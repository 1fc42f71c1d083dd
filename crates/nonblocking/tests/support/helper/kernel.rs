//! Which kernel a scenario meets, in the words of a test.
//!
//! `as-it-is`; `status-flag`, which has one more status flag than ours; or answers of our own, like
//! `read:1=EINTR,read:3=EIO`: the first read and the third do nothing, and answer that. `write:1=0` is a
//! write that takes nothing.
//!
//! A read from a nonblocking pipe is never interrupted on a real kernel, since it never sleeps; other
//! nonblocking descriptors make no such promise. Here a test says which read is.

use nix::errno::Errno;
use nix::libc;
use testing::tracer::{self, Call};

use super::calls::{self, Kind};

/// A status flag that no kernel has yet.
const STATUS_FLAG: i64 = 1 << 29;

/// What is different about it.
#[derive(Default)]
pub struct Kernel {
    status_flag: bool,
    /// Which one of the reads or writes, counted from 1, and what it answers.
    answers: Vec<(Kind, usize, i64)>,
    /// How many there were so far.
    reads: usize,
    writes: usize,
}

/// Nothing for words that mean nothing.
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
