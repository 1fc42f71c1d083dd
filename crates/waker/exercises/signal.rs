//! Exercise `waker/signal`: a wake from a signal handler, and the set of signals that came.
//!
//! Goal: each signal makes the read end of `writer` readable, and `take` returns which signals came, even if the pipe
//! was full. The handler may interrupt any code at any instruction, in any thread, so it does not allocate or lock, and
//! it preserves `errno`. It adds the signal to the set before it writes, and it is installed with `SA_RESTART`, so that
//! blocking calls in other threads do not fail with `EINTR`, and without `SA_NOCLDSTOP` and `SA_NOCLDWAIT`, so that SIGCHLD
//! comes for each child, and the child can be waited for.
//! If a signal is in the set already, the handler need not write again. If a write fails, and not with EAGAIN, `take`
//! still returns the signal, once, and the handler of the next signal of its kind writes.
//! A signal has one owner at a time, and several owners with different signals may exist. When an owner is dropped
//! (even if a panic drops it), or `new` fails (with `EMFILE`, too), each of its signals has its previous handler, with
//! its mask and flags, and can get another owner. `drop` returns only when no handler that may write to the owner's
//! descriptor is running, in any thread of this process. A child of fork(2) inherits your statics, and not the threads:
//! there, `drop` must not wait for a handler that was running in the parent. Restore the previous handler before you
//! release the signal, and release it only when no handler is running. No signal is lost during `new` or `drop`. Those that
//! came and that no `take` has returned are dropped with the owner.
//! A process inherits its signal mask through exec. So once its handlers are installed, `new` unblocks its signals in the
//! calling thread, and no others, so that a pending one comes. If the owner is dropped in that thread, those that were
//! blocked are blocked again, before their previous handlers are restored. After an error the mask is unchanged.
//! What a thread did before its signal is visible to the code that `take` returns the signal to (Release and Acquire). What
//! the loop did before a `take`, such as the drain, happens before the write of a handler that finds the bit clear because
//! of that `take`. What an owner did before it was dropped happens before the next `new` for its signal returns.
//! The handler gets only the signal's number, so keep what it needs in statics. If their types come from
//! `super::sync::atomic`, and `yield_now` from `super::sync::thread`, the tests also run the handler, `take` and `drop` in
//! every order of their steps; otherwise they skip that. In the crate, both are std's. In the tests, the types are AtomicI32,
//! AtomicU32, AtomicU64 and AtomicUsize, with a const `new`: `static X: AtomicU64 = AtomicU64::new(0)` works with both.
//! A handler is an `extern "C" fn(c_int)`, and `SigAction::new(SigHandler::Handler(note), SaFlags::…, SigSet::empty())`
//! is what `nix::sys::signal::sigaction` installs; it returns the previous action. `nix::errno::Errno::last_raw` reads
//! `errno`, and `Errno::set_raw` sets it. To make an error from an errno: `Error::on("sigaction", signal)(errno)`, with
//! `crate::Error`.
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
    /// A signal that already has an owner, or is in `signals` twice, is `EBUSY`, and its owner loses nothing. One that
    /// cannot have a handler is `EINVAL`, and so are the signals that report a fault of the running code: SIGSEGV, SIGBUS,
    /// SIGFPE, SIGILL, SIGTRAP, SIGSYS. The error names the signal. A new owner starts with an empty set.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = writer.as_fd();
        todo!("let {signals:?} write to {writer:?}: write `SignalWaker::new` in exercises/signal.rs")
    }

    /// Returns the signals of this owner that came since the last call, each once. The signals of other owners stay in
    /// the set. The caller has consumed the waker before.
    pub fn take(&self) -> SigSet {
        todo!("return the signals that came: write `take` in exercises/signal.rs")
    }
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        // Replace this comment with code that restores the previous handlers. It must run during a panic, too.
    }
}
