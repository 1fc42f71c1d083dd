//! How an experiment ends: this kernel agrees with the book, disagrees, or cannot be asked.

use std::error::Error;
use std::fmt::{self, Display};
use std::process::ExitCode;

use serde::{Serialize, Serializer};

/// What the body of an experiment gives. An error makes the verdict *disagrees*, and is the reason; a [`CannotAsk`] makes
/// it *cannot be asked*.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Does this kernel do what the book says?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Agrees,
    Disagrees,
    /// The kernel cannot be asked.
    Skipped,
}

impl Verdict {
    /// The status that the experiment exits with: 0, 1 or 3.
    pub fn code(self) -> u8 {
        match self {
            Self::Agrees => 0,
            Self::Disagrees => 1,
            Self::Skipped => 3,
        }
    }

    /// The verdict of an experiment that exited with this status; `None` for one that a signal killed.
    pub fn of(code: Option<i32>) -> Self {
        [Self::Agrees, Self::Skipped]
            .into_iter()
            .find(|verdict| code == Some(verdict.code().into()))
            .unwrap_or(Self::Disagrees)
    }

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Disagrees => "disagrees",
            Self::Skipped => "skipped",
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict.code())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// The error of an experiment whose question this machine or kernel cannot answer. Neither the kernel nor the book is
/// wrong then.
#[derive(Debug)]
pub struct CannotAsk(pub String);

impl Display for CannotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CannotAsk {}

/// A [`CannotAsk`] with its reason: `return Err(cannot_ask("python3 is not installed"))`.
pub fn cannot_ask(reason: impl Display) -> Box<dyn Error> {
    Box::new(CannotAsk(reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_verdict_is_known_by_its_exit_status() {
        for verdict in [Verdict::Agrees, Verdict::Disagrees, Verdict::Skipped] {
            assert_eq!(Verdict::of(Some(verdict.code().into())), verdict);
        }
        assert_eq!([Some(101), None].map(Verdict::of), [Verdict::Disagrees; 2], "a panic, and a signal");
    }
}
