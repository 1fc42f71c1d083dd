//! Exercise `waker/signal`: a wake from a signal handler, and the set of signals that came.
//!
//! Goal: each signal makes the read end of `writer` readable, and `take` returns which signals came, even if the pipe
//! was full. The handler may interrupt any code at any instruction, in any thread, so it does not allocate or lock, and
//! it preserves `errno`. It adds the signal to the set before it writes, and it is installed with `SA_RESTART`, so that
//! blocking calls in other threads do not fail with `EINTR`.
//! A signal has one owner at a time. When the owner is dropped, or `new` fails, every signal has its previous handler,
//! with its mask and flags. `drop` returns only when no handler that may write to the owner's descriptor is running, in
//! any thread.
//! The handler gets only the signal's number, so keep what it needs in statics.
//! A handler is an `extern "C" fn(c_int)`, and `SigAction::new(SigHandler::Handler(note), SaFlags::…, SigSet::empty())`
//! is what `nix::sys::signal::sigaction` installs; it returns the previous action. To make an error from an errno:
//! `Error::on("sigaction", signal)(errno)`, with `crate::Error`.
//! Run `cargo workbook check signal` after each change; `hint signal` if you are stuck.

use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, Signal};

use crate::Result;

/// The owner of some signals, which wakes a poller when one of them comes.
#[derive(Debug)]
pub struct SignalWaker {}

impl SignalWaker {
    /// Installs a handler for each of these signals, which adds the signal to the set and writes eight bytes to a
    /// duplicate of `writer`: the number 1 in native byte order, for a pipe or an eventfd. The caller has made `writer`
    /// nonblocking. The duplicate is close-on-exec: `cloexec::open::duplicate` makes one.
    ///
    /// A signal that already has an owner, or is in `signals` twice, is `EBUSY`, and one without a possible handler is
    /// `EINVAL`; the error names it. A new owner starts with an empty set.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = writer.as_fd();
        todo!("let {signals:?} write to {writer:?}: write `SignalWaker::new` in exercises/signal.rs")
    }

    /// Returns the owned signals that came since the last call, each once. The caller has consumed the waker before.
    pub fn take(&self) -> SigSet {
        todo!("return the signals that came: write `take` in exercises/signal.rs")
    }
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        // A second panic during unwinding would abort the program.
        if !std::thread::panicking() {
            todo!("restore the previous handlers: write `drop` in exercises/signal.rs")
        }
    }
}
