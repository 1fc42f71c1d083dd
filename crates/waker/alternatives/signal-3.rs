//! Another way for `waker/signal`: the handler writes each time, even if its bit is set already, and each signal counts its own
//! handlers.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::ThreadId;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{getpid, write};

use super::sync::atomic::{
    AtomicI32, AtomicU64,
    Ordering::{AcqRel, Acquire},
};
use super::sync::thread::yield_now;
use crate::{Error, Result};

const COUNT: usize = 65;
const NONE: i32 = -1;

// Every access is a read-modify-write with AcqRel, so it reads the latest value, and publishes what came before.

/// A bit for each signal that has an owner.
static OWNED: AtomicU64 = AtomicU64::new(0);
/// A bit for each signal that came and that `take` has not returned yet.
static CAME: AtomicU64 = AtomicU64::new(0);
/// For each signal, the descriptor that the handler writes to.
static WRITERS: [AtomicI32; COUNT] = [const { AtomicI32::new(NONE) }; COUNT];
/// For each signal, how many handlers run (lower half), in the process with this pid (upper half).
static RUNNING: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];

/// The owner of some signals, which wakes a poller when one of them comes.
#[derive(Debug)]
pub struct SignalWaker {
    owned: Vec<Signal>,
    previous: Vec<(Signal, SigAction)>,
    /// The signals that were blocked in `thread`.
    blocked: SigSet,
    thread: ThreadId,
    writer: OwnedFd,
}

impl SignalWaker {
    /// Installs a handler for each of these signals, which adds the signal to the set and writes eight bytes to a
    /// duplicate of `writer`: the number 1 in native byte order, for a pipe or an eventfd. The caller has made `writer`
    /// nonblocking. The duplicate is close-on-exec: `cloexec::open::duplicate` makes one.
    ///
    /// A signal that already has an owner, or is in `signals` twice, is `EBUSY`, and its owner loses nothing. One that
    /// cannot have a handler is `EINVAL`, and so are the signals that report a fault of the running code: SIGSEGV, SIGBUS,
    /// SIGFPE, SIGILL, SIGTRAP, SIGSYS. The error names the signal. A new owner starts with an empty set.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let mut this = Self {
            owned: Vec::new(),
            previous: Vec::new(),
            blocked: SigSet::empty(),
            thread: std::thread::current().id(),
            writer: cloexec::open::duplicate(writer)?,
        };
        for &signal in signals {
            if is_refused(signal) {
                return Err(Error::on("sigaction", signal)(Errno::EINVAL));
            }
            if OWNED.fetch_or(bit(signal), AcqRel) & bit(signal) != 0 {
                return Err(Error::on("sigaction", signal)(Errno::EBUSY));
            }
            this.owned.push(signal);
        }
        for &signal in signals {
            CAME.fetch_and(!bit(signal), AcqRel);
            WRITERS[signal as usize].swap(this.writer.as_raw_fd(), AcqRel);
        }
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::all());
        for &signal in signals {
            // SAFETY: `note` is async-signal-safe: it uses atomics and `write`, and keeps errno.
            let previous = unsafe { sigaction(signal, &action) }.map_err(Error::on("sigaction", signal))?;
            this.previous.push((signal, previous));
        }
        let set: SigSet = signals.iter().copied().collect();
        let mask = set
            .thread_swap_mask(SigmaskHow::SIG_UNBLOCK)
            .map_err(Error::on("pthread_sigmask", format_args!("{signals:?}")))?;
        this.blocked = signals.iter().copied().filter(|&signal| mask.contains(signal)).collect();
        Ok(this)
    }

    /// Returns the signals of this owner that came since the last call, each once. The signals of other owners stay in
    /// the set. The caller has consumed the waker before.
    pub fn take(&self) -> SigSet {
        let mine: u64 = self.owned.iter().map(|&signal| bit(signal)).sum();
        let came = CAME.fetch_and(!mine, AcqRel);
        self.owned.iter().copied().filter(|&signal| came & bit(signal) != 0).collect()
    }
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        if self.thread == std::thread::current().id() {
            let _ = self.blocked.thread_block();
        }
        for (signal, previous) in &self.previous {
            // SAFETY: this was the signal's action before.
            let _ = unsafe { sigaction(*signal, previous) };
        }
        for &signal in &self.owned {
            WRITERS[signal as usize].swap(NONE, AcqRel);
            while is_running(signal) {
                yield_now();
            }
            CAME.fetch_and(!bit(signal), AcqRel);
            OWNED.fetch_and(!bit(signal), AcqRel);
        }
    }
}

/// The handler.
extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    let number = signal as usize;
    let me = me();
    let enter = |state: u64| if state >> 32 == me { state + 1 } else { me << 32 | 1 };
    let leave = |state: u64| if state >> 32 == me { state - 1 } else { state };
    let _ = RUNNING[number].fetch_update(AcqRel, Acquire, |state| Some(enter(state)));
    let writer = WRITERS[number].fetch_or(0, AcqRel);
    if writer != NONE {
        CAME.fetch_or(1 << signal, AcqRel);
        // SAFETY: the owner closes the descriptor only when this handler is not running.
        let writer = unsafe { BorrowedFd::borrow_raw(writer) };
        while write(writer, &1_u64.to_ne_bytes()) == Err(Errno::EINTR) {}
    }
    let _ = RUNNING[number].fetch_update(AcqRel, Acquire, |state| Some(leave(state)));
    Errno::set_raw(errno);
}

/// Returns whether a handler of this signal runs in this process. A handler that ran when the parent forked does not count.
fn is_running(signal: Signal) -> bool {
    let state = RUNNING[signal as usize].fetch_or(0, AcqRel);
    state >> 32 == me() && state as u32 != 0
}

fn me() -> u64 {
    getpid().as_raw() as u64
}

fn bit(signal: Signal) -> u64 {
    1 << signal as u64
}

fn is_refused(signal: Signal) -> bool {
    use Signal::*;
    matches!(signal, SIGKILL | SIGSTOP | SIGSEGV | SIGBUS | SIGFPE | SIGILL | SIGTRAP | SIGSYS)
}
