//! How an experiment ends: this kernel agrees with the book, disagrees, or cannot be asked.

use std::error::Error;
use std::ffi::NulError;
use std::fmt::{self, Debug, Display};
use std::io;
use std::iter::successors;
use std::num::{ParseIntError, TryFromIntError};
use std::panic::Location;
use std::process::ExitCode;
use std::string::FromUtf8Error;
use std::sync::mpsc::{RecvError, SendError, TryRecvError};

use io_uring::squeue::PushError;
use nix::errno::Errno;
use nix::sys::epoll::EpollTimeoutTryFromError;
use plotters::drawing::DrawingAreaErrorKind;
use prefork::Failed;
use serde::{Serialize, Serializer};

use crate::output::Lost;
use crate::refused_calls::refused;

/// What the body of an experiment gives. An error makes the verdict *disagrees*, and is the reason, unless it says that
/// this machine lacks something: then the verdict is *skipped*.
pub type Result<T = ()> = std::result::Result<T, Failure>;

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

/// Why an experiment did not run to its end: any error, and the line whose `?` returned it.
pub struct Failure {
    error: Box<dyn Error>,
    at: &'static Location<'static>,
}

/// The errors that an experiment may end with. Not any `E: Error`, because then a `Failure` could not be an error itself, and a
/// handler of the loop could not end with one.
macro_rules! fails_with {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            #[track_caller]
            fn from(error: $error) -> Self {
                Self { error: error.into(), at: Location::caller() }
            }
        }
    )+};
}

fails_with! {
    &'static str, String, Errno, io::Error, CannotAsk, Lost, Box<dyn Error>, ioloop::Error, serde_json::Error,
    ParseIntError, TryFromIntError, NulError, FromUtf8Error, fmt::Error,
    DrawingAreaErrorKind<io::Error>, RecvError, TryRecvError, SendError<()>, ioloop::NoResult, EpollTimeoutTryFromError, PushError,
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

impl Failure {
    /// The errno, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.causes().find_map(|cause| {
            let by_std = || Some(Errno::from_raw(cause.downcast_ref::<io::Error>()?.raw_os_error()?));
            let by_ours = || Some(cause.downcast_ref::<ioloop::Error>()?.errno);
            let by_supervisor = || match cause.downcast_ref::<Failed>()? {
                Failed::Call(error) => Some(error.errno),
                Failed::TooManyRestarts(_) => None,
            };
            let by_nix = cause.downcast_ref::<Errno>().copied();
            by_nix.or_else(by_std).or_else(by_ours).or_else(by_supervisor)
        })
    }

    /// Why the kernel cannot be asked, if the error says so: it is a [`cannot_ask`], or its errno is one with which a
    /// kernel, a sandbox or a limit refuses what otherwise works. An experiment that asks for such an errno matches on it,
    /// and so does not end with it.
    pub(crate) fn refusal(&self) -> Option<String> {
        if self.causes().any(<dyn Error>::is::<CannotAsk>) {
            return Some(self.to_string());
        }
        // An errno does not say which call was refused.
        self.errno().filter(|errno| is_refusal(*errno)).map(|_| match refused() {
            Some(calls) => format!("{self}; {calls}"),
            None => self.to_string(),
        })
    }

    /// Whether the report is what could not be had.
    pub(crate) fn is_lost(&self) -> bool {
        self.causes().any(<dyn Error>::is::<Lost>)
    }

    /// The error, the error that caused it, and so on.
    fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        successors(self.source(), |cause| {
            match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                // The source of an `io::Error::other` is that of the error in it.
                Some(inner) => Some(inner),
                None => (**cause).source(),
            }
        })
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.error, f)?;
        match self.errno() {
            // An errno says neither which call failed nor for what.
            Some(_) => write!(f, ", at {}:{}", self.at.file(), self.at.line()),
            None => Ok(()),
        }
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Whether a call that fails with this errno was refused by the environment: an old kernel or a sandbox, the permissions of
/// this user, a limit, a full or read-only file system, or a network that is missing.
fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOSYS
            | Errno::EPERM
            | Errno::EACCES
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::ENOSPC
            | Errno::EDQUOT
            | Errno::EFBIG
            | Errno::EROFS
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::EADDRNOTAVAIL
            | Errno::EAFNOSUPPORT
    )
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
#[track_caller]
pub fn cannot_ask(reason: impl Display) -> Failure {
    CannotAsk(reason.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_known_by_its_exit_status() {
        for verdict in [Verdict::Agrees, Verdict::Disagrees, Verdict::Skipped] {
            assert_eq!(Verdict::of(Some(verdict.code().into())), verdict);
        }
        assert_eq!([Some(101), None].map(Verdict::of), [Verdict::Disagrees; 2], "a panic, and a signal");
    }

    #[test]
    fn a_call_that_is_refused_is_no_disagreement_and_says_where_it_was_made() {
        let by_nix = || -> Result { Ok(Err(Errno::ENOSYS)?) };
        let by_std = || -> Result { Ok(Err(io::Error::from(Errno::EMFILE))?) };
        let by_a_crate = || -> Result {
            let error = ioloop::Error { operation: "bind", object: "a socket".into(), errno: Errno::EACCES };
            Ok(Err(io::Error::other(Failed::Call(error)))?)
        };
        for refused in [by_nix(), by_std(), by_a_crate()] {
            let reason = refused.as_ref().err().and_then(Failure::refusal).unwrap_or_default();
            assert!(reason.contains("verdict.rs:"), "{refused:?} is skipped with the line: {reason:?}");
        }
    }

    #[test]
    fn another_error_is_a_disagreement() {
        let unexpected = [Failure::from(Errno::EBADF), Failure::from("a client got no answer")];
        assert_eq!(unexpected.map(|failure| failure.refusal()), [None, None]);
    }
}
