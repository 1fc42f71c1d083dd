//! A wake from a signal handler, and the set of signals that came.
//!
//! Contract: the handler only uses atomics and write(2). It does not allocate or lock, and it preserves `errno`. The
//! set of signals is a static next to the pipe, and the byte in the pipe is only the wake, so a full pipe loses no
//! signal. A signal has one owner at a time. Dropping the owner restores the previous handler.
//!
//! The handler is installed with `SA_RESTART`, because it may run in any thread, and a read that blocks there should
//! not fail with `EINTR` for a signal that it does not wait for. The poller wakes up because of the byte. Besides,
//! poll(2) and epoll_wait(2) fail with `EINTR` even with `SA_RESTART`: see signal(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::write;

use crate::{Error, Result};

// ANCHOR: statics
/// Stands for a descriptor while a signal has no owner.
const NO_OWNER: RawFd = -1;

/// For each signal number, the descriptor that its owner wants the handler to write to. The handler gets only the
/// number.
static WRITERS: [AtomicI32; 32] = [const { AtomicI32::new(NO_OWNER) }; 32];

/// The signals that came and that no `take` has returned yet: bit N for signal N.
static PENDING: AtomicU32 = AtomicU32::new(0);

/// How many handlers are running now, in all threads.
static RUNNING: AtomicU32 = AtomicU32::new(0);
// ANCHOR_END: statics

/// The owner of some signals, which wakes a poller when one of them comes.
///
/// A child of fork(2) inherits a copy that wakes the parent's poller: drop the copy in the child, and make a new one.
// ANCHOR: owner
#[derive(Debug)]
pub struct SignalWaker {
    writer: OwnedFd,
    /// Each signal, with its previous action.
    owned: Vec<(Signal, SigAction)>,
}
// ANCHOR_END: owner

impl SignalWaker {
    /// Installs a handler for each of these signals, which adds the signal to the set and writes eight bytes to
    /// `writer`.
    ///
    /// The bytes are the number 1 in native byte order: an eventfd requires that, and a pipe takes any bytes. `writer`
    /// must be nonblocking. The new owner keeps a duplicate of it.
    ///
    /// # Errors
    /// `EBUSY` if a signal has an owner, or is in `signals` twice; `EINVAL` for `SIGKILL` and `SIGSTOP`, see
    /// sigaction(2); `EMFILE` if the process has no free descriptor. The error of a signal names it. After an error,
    /// every signal has its previous handler.
    // ANCHOR: new
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = cloexec::open::duplicate(writer)?;
        let mut waker = Self { writer, owned: Vec::with_capacity(signals.len()) };
        // On an error, dropping `waker` restores the handlers of the signals that it owns by then.
        signals.iter().try_for_each(|signal| waker.own(*signal))?;
        Ok(waker)
    }

    fn own(&mut self, signal: Signal) -> Result<()> {
        let slot = &WRITERS[signal as usize];
        slot.compare_exchange(NO_OWNER, self.writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| {
                Error::on("sigaction", format_args!("{signal}, which has an owner"))(Errno::EBUSY)
            })?;
        PENDING.fetch_and(!bit(signal as c_int), Ordering::AcqRel);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` only does what signal-safety(7) permits, so it may interrupt any code.
        match unsafe { sigaction(signal, &action) } {
            Ok(previous) => self.owned.push((signal, previous)),
            Err(errno) => {
                slot.store(NO_OWNER, Ordering::SeqCst);
                return Err(Error::on("sigaction", signal)(errno));
            }
        }
        Ok(())
    }
    // ANCHOR_END: new

    /// Returns the owned signals that came since the last call, each once, and removes them from the set.
    ///
    /// Consume the waker before you call this, because a signal that comes after this call writes its bytes again.
    // ANCHOR: take
    pub fn take(&self) -> SigSet {
        let ours = self.owned.iter().fold(0, |mask, (signal, _)| mask | bit(*signal as c_int));
        // In one step, because a signal that came between a load and a store would be lost.
        let came = PENDING.fetch_and(!ours, Ordering::AcqRel) & ours;
        let signals = self.owned.iter().map(|(signal, _)| *signal);
        signals.filter(|signal| came & bit(*signal as c_int) != 0).collect()
    }
    // ANCHOR_END: take
}

// ANCHOR: handler
extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    // Before the lookup of the descriptor, because `drop` closes it as soon as no handler is running.
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let writer = WRITERS.get(signal as usize).map_or(NO_OWNER, |slot| slot.load(Ordering::SeqCst));
    // The bit before the bytes, so that the loop, once the bytes wake it, finds the bit. If the bit was already set, the
    // handler that set it has written its bytes or is about to, and those bytes let the loop call `take`.
    if writer != NO_OWNER && PENDING.fetch_or(bit(signal), Ordering::AcqRel) & bit(signal) == 0 {
        // SAFETY: the owner keeps it open while a handler is running.
        let writer = unsafe { BorrowedFd::borrow_raw(writer) };
        // A full pipe is already readable, and a handler cannot report any other error.
        let _ = write(writer, &1_u64.to_ne_bytes());
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    // The interrupted code may be about to read its own errno.
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

fn bit(signal: c_int) -> u32 {
    1 << signal
}

// ANCHOR: drop
impl Drop for SignalWaker {
    fn drop(&mut self) {
        for (signal, previous) in self.owned.drain(..) {
            // SAFETY: this is the action that was installed before, by code that ensured its safety.
            let _ = unsafe { sigaction(signal, &previous) };
            WRITERS[signal as usize].store(NO_OWNER, Ordering::SeqCst);
        }
        // A handler in another thread may have just looked up the descriptor. If it were closed now, another file could
        // get the number before the handler writes its bytes.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
    }
}
// ANCHOR_END: drop
