//! The error of every call in these crates: which operation failed, on which object, and why.

use std::{fmt, io};

use nix::errno::Errno;

/// A system call that failed: the operation, the object, and the kernel's reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The call, with the argument that selects what it does: `fcntl(F_GETFD)`.
    pub operation: &'static str,
    /// The object of the call: `descriptor 7`, `/etc/hostname`.
    pub object: String,
    /// The kernel's reason. See errno(3).
    pub errno: Errno,
}

/// A result whose error names the operation, the object and the cause.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Builds the closure for `map_err`: `.map_err(Error::on("fcntl(F_GETFD)", format!("descriptor {fd}")))`.
    pub fn on(operation: &'static str, object: impl fmt::Display) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { operation, object: object.to_string(), errno }
    }

    /// Does the same for errors of the standard library. An error that carries no errno becomes `EIO`.
    pub fn on_io(operation: &'static str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::on(operation, object)(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}: {}", self.operation, self.object, self.errno)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(Self::from(error.errno).kind(), error)
    }
}
