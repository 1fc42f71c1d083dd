//! Mistake: the handler takes a lock.
//! Caught by: no_moment_is_a_bad_one
//! Message: In a handler, a lock is a deadlock

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::write;

use crate::{Error, Result};

/// In place of a descriptor, for a signal that has no owner.
const NOBODY: RawFd = -1;

/// By a signal's number, what its owner wants written to. The handler is told the number and nothing else.
static WRITERS: [AtomicI32; 32] = [const { AtomicI32::new(NOBODY) }; 32];

/// The kinds that came and that nobody has taken yet: bit N for signal N.
static PENDING: Mutex<u32> = Mutex::new(0);

/// How many handlers are running, in whatever threads.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// The owner of some signals, which wakes a poller when one of them comes.
///
/// A child of fork(2) has a copy that wakes the parent's poller: drop it there, and make another.
#[derive(Debug)]
pub struct SignalWaker {
    writer: OwnedFd,
    /// With what handled each signal before.
    owned: Vec<(Signal, SigAction)>,
}

impl SignalWaker {
    /// From now on, each of these signals is noted, and eight bytes are written to `writer`: a one for an
    /// eventfd, and for a pipe as good as any. `writer` has to be nonblocking; a duplicate of it is kept.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = cloexec::open::duplicate(writer)?;
        let mut waker = Self { writer, owned: Vec::with_capacity(signals.len()) };
        // On an error, dropping `waker` gives back what it owns by then.
        signals.iter().try_for_each(|signal| waker.own(*signal))?;
        Ok(waker)
    }

    fn own(&mut self, signal: Signal) -> Result<()> {
        let slot = &WRITERS[signal as usize];
        slot.compare_exchange(NOBODY, self.writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).map_err(
            |_| Error::on("sigaction", format_args!("{signal}, which has an owner"))(Errno::EBUSY),
        )?;
        *PENDING.lock().unwrap() &= !bit(signal as c_int);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` does what signal-safety(7) permits, whatever code it interrupts.
        match unsafe { sigaction(signal, &action) } {
            Ok(previous) => self.owned.push((signal, previous)),
            Err(errno) => {
                slot.store(NOBODY, Ordering::SeqCst);
                return Err(Error::on("sigaction", signal)(errno));
            }
        }
        Ok(())
    }

    /// The signals of ours that came since the last call, each once. To be called after the waker was consumed:
    /// a signal after this writes its bytes anew.
    pub fn take(&self) -> SigSet {
        let mut pending = PENDING.lock().unwrap();
        let mut came = SigSet::empty();
        for (signal, _) in &self.owned {
            if *pending & bit(*signal as c_int) != 0 {
                came.add(*signal);
                *pending &= !bit(*signal as c_int);
            }
        }
        came
    }
}

extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    // Before the descriptor is looked up: whoever sees no handler running may close it. See `drop`.
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let writer = WRITERS.get(signal as usize).map_or(NOBODY, |slot| slot.load(Ordering::SeqCst));
    if writer != NOBODY {
        *PENDING.lock().unwrap() |= bit(signal);
        // SAFETY: the owner keeps it open while a handler is running.
        let writer = unsafe { BorrowedFd::borrow_raw(writer) };
        // A full pipe is ready to be read, and there is nobody here to tell of any other error.
        let _ = write(writer, &1_u64.to_ne_bytes());
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    // The code that was interrupted may be about to read its own.
    Errno::set_raw(errno);
}

fn bit(signal: c_int) -> u32 {
    1 << signal
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        for (signal, previous) in self.owned.drain(..) {
            // SAFETY: what the kernel had for the signal before; whoever put it there answered for it.
            let _ = unsafe { sigaction(signal, &previous) };
            WRITERS[signal as usize].store(NOBODY, Ordering::SeqCst);
        }
        // A handler in another thread may have looked up the descriptor just now. Closed, the number could be
        // somebody else's file by the time that the bytes are written.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
    }
}
