//! The kernels that a scenario can run on, by the name that a test uses.
//!
//! `as-it-is` is the real one. `status-flag` has one more status flag. A list like `read:1=EINTR,read:3=EIO` lets the
//! first and the third read fail with that errno and do nothing; `write:1=0` lets the first write return 0, and
//! `read:1..50=EINTR` lets 50 reads fail. On `pipe-size=8192`, that is the result of each call about a pipe's capacity; an
//! errno may stand there, too. On `pipe2=EMFILE`, each pipe2 fails with that errno.
//!
//! A real kernel never interrupts a read from a nonblocking pipe, because that read never sleeps. Other nonblocking
//! descriptors make no such promise, so here a test chooses the read that is interrupted.

use std::ops::RangeInclusive;

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
    /// The result of F_GETPIPE_SZ and F_SETPIPE_SZ.
    pipe_size: Option<i64>,
    /// The result of pipe2.
    pipe2: Option<i64>,
    /// Which reads and writes to simulate, counted from 1, and their results.
    answers: Vec<(Kind, RangeInclusive<usize>, i64)>,
    /// The numbers of calls so far.
    reads: usize,
    writes: usize,
}

/// Parses a kernel's name. `None` for an unknown name.
pub fn parse(words: &str) -> Option<Kernel> {
    match words {
        "as-it-is" => Some(Kernel::default()),
        "status-flag" => Some(Kernel { status_flag: true, ..Kernel::default() }),
        _ if let Some(size) = words.strip_prefix("pipe-size=") => {
            Some(Kernel { pipe_size: Some(result(size)?), ..Kernel::default() })
        }
        _ if let Some(errno) = words.strip_prefix("pipe2=") => {
            Some(Kernel { pipe2: Some(result(errno)?), ..Kernel::default() })
        }
        _ => {
            let answers = words.split(',').map(answer).collect::<Option<_>>()?;
            Some(Kernel { answers, ..Kernel::default() })
        }
    }
}

fn answer(word: &str) -> Option<(Kind, RangeInclusive<usize>, i64)> {
    let (call, answer) = word.split_once('=')?;
    let (kind, turn) = call.split_once(':')?;
    let kind = match kind {
        "read" => Kind::Read,
        "write" => Kind::Write,
        _ => return None,
    };
    let (first, last) = turn.split_once("..").unwrap_or((turn, turn));
    Some((kind, first.parse().ok()?..=last.parse().ok()?, result(answer)?))
}

/// A number, or the errno of that name below zero.
fn result(word: &str) -> Option<i64> {
    let errno = || (1..=133).map(Errno::from_raw).find(|errno| format!("{errno:?}") == word);
    word.parse().ok().or_else(|| errno().map(|errno| -(errno as i64)))
}

impl tracer::Kernel for Kernel {
    fn words(&self, call: &Call) -> Option<String> {
        calls::words(call)
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        if call.name == "fcntl" && matches!(call.args[1] as i32, libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ) {
            return self.pipe_size;
        }
        if call.name == "pipe2" {
            return self.pipe2;
        }
        let kind = calls::kind(call)?;
        let turn = match kind {
            Kind::Read => &mut self.reads,
            Kind::Write => &mut self.writes,
        };
        *turn += 1;
        self.answers.iter().find(|each| each.0 == kind && each.1.contains(turn)).map(|each| each.2)
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        let getfl = call.name == "fcntl" && call.args[1] as i32 == libc::F_GETFL;
        if self.status_flag && getfl && answer >= 0 { answer | STATUS_FLAG } else { answer }
    }
}
