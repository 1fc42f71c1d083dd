//! Failures of the code that a loop runs: an error that it returns, or a panic.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use nix::errno::Errno;

/// The outcome of a callback, a timer, a handler or a task.
pub type Outcome = Result<(), Box<dyn Error>>;

/// The types that a callback, a timer, a handler or a task may return: `()`, or a `Result`, whose value is ignored.
pub trait IntoOutcome {
    /// Convert it into an [`Outcome`].
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

/// The kind of code that the loop ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A callback or a signal handler.
    Callback,
    /// A timer.
    Timer,
    /// The handler of this descriptor.
    Handler(RawFd),
    /// A task.
    Task,
}

/// Why code failed.
#[derive(Debug)]
pub enum Cause {
    /// It returned an error.
    Error(Box<dyn Error>),
    /// It panicked with this payload.
    Panic(Box<dyn Any + Send>),
}

/// A failure of code that the loop ran. The loop goes on.
#[derive(Debug)]
pub struct Failure {
    /// Which code failed.
    pub origin: Origin,
    /// Why it failed.
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
                write!(f, " panicked: {}", words.unwrap_or("(the payload is not a string)"))
            }
        }
    }
}

impl Failure {
    /// Is the cause EPIPE? A handler's own next event already reports that the peer is gone.
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

// ANCHOR: guarded
/// Call `run`, and catch a panic.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, Cause> {
    // Unwind-safe: `run` may leave its own values half changed, but it borrows nothing of the loop.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cause::Error(error)),
        Err(thrown) => Err(Cause::Panic(thrown)),
    }
}

/// Drop a value of the program, and catch a panic of its drop.
pub(crate) fn drop_caught<T>(value: T) -> Result<(), Cause> {
    catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(Cause::Panic)
}
// ANCHOR_END: guarded

/// A value of the program. If a panic unwinds while the value is dropped, a panic of its drop is caught, because a second panic
/// would abort the process.
pub(crate) struct Owned<T>(Option<T>);

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("only the drop takes the value")
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            // What was thrown is forgotten, because its drop may panic, too.
            mem::forget(drop_caught(self.0.take()));
        }
    }
}

/// Drops values of the program, each whatever the drops before it did. The first panic goes on at the end.
#[derive(Default)]
pub(crate) struct Drops {
    first: Option<Box<dyn Any + Send>>,
}

impl Drops {
    /// Drop a value.
    pub(crate) fn of<T>(&mut self, value: T) {
        self.within(|| drop(value));
    }

    /// Run code that drops values. False if a drop panicked.
    pub(crate) fn within(&mut self, run: impl FnOnce()) -> bool {
        let Err(thrown) = catch_unwind(AssertUnwindSafe(run)) else { return true };
        match &self.first {
            None => self.first = Some(thrown),
            // Not dropped, because that could panic, too, and so on.
            Some(_) => mem::forget(thrown),
        }
        false
    }
}

impl Drop for Drops {
    fn drop(&mut self) {
        match self.first.take() {
            // A second panic beside one that unwinds already would abort the process.
            Some(thrown) if thread::panicking() => mem::forget(thrown),
            Some(thrown) => resume_unwind(thrown),
            None => {}
        }
    }
}
