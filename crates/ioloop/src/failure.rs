//! What goes wrong in the code that a loop runs: an error that it returns, or a panic.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;

/// What a callback, a timer or a handler comes to.
pub type Outcome = Result<(), Box<dyn Error>>;

/// What a callback, a timer or a handler may return: nothing, or a result. A value in it is ignored.
pub trait IntoOutcome {
    /// As the loop has it.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Ok(())
    }
}

impl<T, E: Into<Box<dyn Error>>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        self.map(drop).map_err(Into::into)
    }
}

/// Whose code it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A callback's.
    Callback,
    /// A timer's.
    Timer,
    /// The handler's of this descriptor.
    Handler(RawFd),
    /// A task's.
    Task,
}

/// An error, or a panic.
#[derive(Debug)]
pub enum Cause {
    /// Returned.
    Error(Box<dyn Error>),
    /// Caught, with what it was thrown with.
    Panic(Box<dyn Any + Send>),
}

/// Something has gone wrong in the code that the loop runs. The loop goes on.
#[derive(Debug)]
pub struct Failure {
    /// Whose code.
    pub origin: Origin,
    /// What.
    pub cause: Cause,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Callback => f.write_str("a callback")?,
            Origin::Timer => f.write_str("a timer")?,
            Origin::Task => f.write_str("a task")?,
            Origin::Handler(fd) => write!(f, "the handler of descriptor {fd}")?,
        }
        match &self.cause {
            Cause::Error(error) => write!(f, " failed: {error}"),
            Cause::Panic(thrown) => {
                let words = thrown.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| thrown.downcast_ref::<&str>().copied());
                write!(f, " panicked: {}", words.unwrap_or("without a word"))
            }
        }
    }
}

impl Failure {
    /// Did somebody write to a peer that went away? For a handler that is no news: its next event says so.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let Cause::Error(error) = &self.cause else { return false };
        let kernel = error.downcast_ref::<Errno>().copied();
        let kernel = kernel.or_else(|| error.downcast_ref::<crate::Error>().map(|error| error.errno));
        kernel == Some(Errno::EPIPE)
            || error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Run it, and see what goes wrong.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, Cause> {
    // What it was in the middle of may be half done: that is its own affair, and nothing of the loop's.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cause::Error(error)),
        Err(thrown) => Err(Cause::Panic(thrown)),
    }
}
