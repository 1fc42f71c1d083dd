//! Exercise `waker/signal`: a wake from a signal handler, and which signals it was.
//!
//! Goal: each signal that comes makes the writer's other end ready, and `take` says which kinds came, also when
//! a pipe was too full for a byte more. The handler may interrupt any code at any instruction, in any thread:
//! it allocates nothing, waits for nobody, and leaves `errno` as it was. A signal has one owner at a time, and
//! when that is dropped, or cannot be made, everything is as it was before.
//! The handler gets the signal's number and nothing else, so what it needs is in statics.
//! Run `cargo run -p workbook check signal` after each change; `hint signal` if you are stuck.

use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, Signal};

use crate::Result;

/// The owner of some signals, which wakes a poller when one of them comes.
#[derive(Debug)]
pub struct SignalWaker {}

impl SignalWaker {
    /// From now on, note each of these signals, and write eight bytes to (a duplicate of) `writer`, a one in
    /// the machine's own order, which suits a pipe and an eventfd alike.
    ///
    /// A signal that has an owner already is `EBUSY`, one that nobody can handle is `EINVAL`; the error names it.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = writer.as_fd();
        todo!("have {signals:?} write to {writer:?}: write `SignalWaker::new` in exercises/signal.rs")
    }

    /// The signals of ours that came since the last call, each once. The caller has consumed the waker before.
    pub fn take(&self) -> SigSet {
        todo!("say which signals came: write `take` in exercises/signal.rs")
    }
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        // A second panic while the first unwinds would end the program without a word.
        if !std::thread::panicking() {
            todo!("give the signals back to whoever had them: write `drop` in exercises/signal.rs")
        }
    }
}
