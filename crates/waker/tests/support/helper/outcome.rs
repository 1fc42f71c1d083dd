//! What the scenarios share: their result, and the state of a waker.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The result of a scenario. The helper prints the error.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Returns `ready` if the descriptor is readable now, and `silent` otherwise.
pub fn state(fd: impl AsFd) -> &'static str {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::ZERO) == Ok(0) { "silent" } else { "ready" }
}
