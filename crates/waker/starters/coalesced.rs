//! Exercise `waker/coalesced`: a flag in front of a waker, so that a second wake costs no system call.
//!
//! Goal: the waker behind the flag is woken once, however many wakes there are before the loop consumes them,
//! and no wake-up is ever lost: what a thread did before `wake` is seen by a `look` that has not begun yet, or
//! the waker is ready, so that there will be another one.
//! Three things happen in `consume_then`, and their order is the exercise. So is what each access to the flag
//! has to order: the tests run it through every order of steps, with every value that a load may answer with.
//! That takes the atomics from `super::sync`, where std's usually are, and loom's in the tests.
//! Run `cargo run -p workbook check coalesced` after each change; `hint coalesced` if you are stuck.

use std::os::fd::{AsFd, BorrowedFd};

use super::sync::atomic::{AtomicBool, Ordering};
use super::{Result, Wake};

/// A waker, and whether a wake of it is pending.
#[derive(Debug)]
pub struct Coalesced<W> {
    waker: W,
    pending: AtomicBool,
}

impl<W: Wake> Coalesced<W> {
    /// Put a flag in front of a waker.
    pub fn new(waker: W) -> Self {
        Self { waker, pending: AtomicBool::new(false) }
    }

    /// Make the waker ready, unless it is already, or is about to be. An error is the waker's, and then no wake
    /// is pending.
    pub fn wake(&self) -> Result<()> {
        let _ = (&self.waker, self.pending.load(Ordering::Relaxed));
        todo!("wake the waker where the flag is clear: write `wake` in exercises/coalesced.rs")
    }

    /// Consume the wakes so far, and `look` at what they were for, so that nothing is missed. An error is the
    /// waker's, and `look` is not called then.
    pub fn consume_then<T>(&self, look: impl FnOnce() -> T) -> Result<T> {
        let _ = look;
        todo!(
            "drain the waker, clear the flag, look; in which order? Write `consume_then` in exercises/coalesced.rs"
        )
    }

    /// The waker behind the flag.
    pub fn get_ref(&self) -> &W {
        &self.waker
    }
}

impl<W: AsFd> AsFd for Coalesced<W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
