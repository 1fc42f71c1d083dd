//! What failed, on what, and why.

use std::{fmt, io};

use nix::errno::Errno;

/// A system call that failed: the operation, the object it was tried on, and the kernel's reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The call, with the part of it that matters: `fcntl(F_GETFD)`.
    pub operation: &'static str,
    /// What it was tried on: `descriptor 7`, `/etc/hostname`.
    pub object: String,
    /// The kernel's reason.
    pub errno: Errno,
}

/// A result whose error names operation, object and cause.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: `.map_err(Error::on("fcntl(F_GETFD)", format!("descriptor {fd}")))`.
    pub fn on(operation: &'static str, object: impl fmt::Display) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { operation, object: object.to_string(), errno }
    }

    /// The same, for what std's functions answer. An error that is none of the kernel's becomes `EIO`.
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
