//! Which kernel a scenario meets, in the words of a test.
//!
//! `as-it-is`; `status-flag`, which has one more status flag than ours; or answers of our own, like
//! `read:1=EINTR,read:3=EIO`: the first read and the third do nothing, and answer that. `write:1=0` is a
//! write that takes nothing.

use nix::errno::Errno;

use crate::calls::Kind;

/// A status flag that no kernel has yet.
pub const STATUS_FLAG: u64 = 1 << 29;

/// What is different about it.
#[derive(Default)]
pub struct Kernel {
    pub status_flag: bool,
    /// Which one of the reads or writes, counted from 1, and what it answers.
    answers: Vec<(Kind, usize, i64)>,
}

impl Kernel {
    /// Nothing for words that mean nothing.
    pub fn parse(words: &str) -> Option<Self> {
        match words {
            "as-it-is" => Some(Self::default()),
            "status-flag" => Some(Self { status_flag: true, ..Self::default() }),
            _ => {
                let answers = words.split(',').map(answer).collect::<Option<_>>()?;
                Some(Self { answers, ..Self::default() })
            }
        }
    }

    /// What the call of that kind and turn answers, if not what the real kernel does.
    pub fn answer(&self, kind: Kind, turn: usize) -> Option<i64> {
        self.answers.iter().find(|each| each.0 == kind && each.1 == turn).map(|each| each.2)
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
