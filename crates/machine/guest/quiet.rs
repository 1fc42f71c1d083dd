//! What the guest's tools have in common with those of other systems, and a Rust program has not by itself.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Let SIGPIPE kill this process, as it kills other tools whose reader has left: std ignores the signal.
pub fn reader_may_leave() {
    // SAFETY: the default action runs no code of this program.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
