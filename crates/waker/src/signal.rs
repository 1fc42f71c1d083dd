//! A wake from a signal handler, and the set of signals that came.
//!
//! Contract: the handler only uses atomics and write(2). It does not allocate or lock, and it preserves `errno`. The
//! set of signals is a static next to the pipe, and the byte in the pipe is only the wake, so a full pipe loses no
//! signal. A signal whose write failed stays in the set, and the next one of its kind writes again. A signal has one
//! owner at a time. Dropping the owner restores the previous handler.
//!
//! A process inherits its signal mask and its ignored signals through exec, so `new` unblocks the signals in the
//! calling thread, and its handlers replace `SIG_IGN`. Signals that report a fault of the running code are refused.
//!
//! The handler is installed with `SA_RESTART`, because it may run in any thread, and a read that blocks there should
//! not fail with `EINTR` for a signal that it does not wait for. The poller wakes up because of the byte. Besides,
//! poll(2) and epoll_wait(2) fail with `EINTR` even with `SA_RESTART`: see signal(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::thread::{ThreadId, current};

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{getpid, write};

use super::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use super::sync::thread;
use super::{Error, Result};

// ANCHOR: statics
/// Stands for a descriptor while a signal has no owner.
const NO_OWNER: RawFd = -1;

/// Stands for a descriptor while the owner is dropped: a handler finds none, and no new owner can take the signal.
const LEAVING: RawFd = -2;

/// For each signal number, the descriptor that its owner wants the handler to write to. The handler gets only the
/// number.
static WRITERS: [AtomicI32; 32] = [const { AtomicI32::new(NO_OWNER) }; 32];

/// The signals that came and that no `take` has returned yet: bit N for signal N.
static PENDING: AtomicU32 = AtomicU32::new(0);

/// Those of them whose bytes could not be written. They are not in `PENDING`, so the next signal of the kind writes.
static UNWRITTEN: AtomicU32 = AtomicU32::new(0);

/// How many handlers are running now, in all threads of a process. The process's ID is in the upper 32 bits, because the
/// child of a fork inherits the number, and not the threads in which those handlers run.
static RUNNING: AtomicU64 = AtomicU64::new(0);
// ANCHOR_END: statics

/// The signals that the kernel sends for an instruction or a system call of the thread itself. If a handler returns, a
/// faulting instruction is executed again, and faults again.
const FAULTS: [Signal; 6] =
    [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGSYS];

/// The owner of some signals, which wakes a poller when one of them comes.
///
/// A child of fork(2) inherits a copy that wakes the parent's poller: drop the copy in the child, and make a new one.
// ANCHOR: owner
#[derive(Debug)]
pub struct SignalWaker {
    writer: OwnedFd,
    /// Each signal, with its previous action.
    owned: Vec<(Signal, SigAction)>,
    /// The signals that `new` unblocked, and the thread in which it did. No later thread has its number: pthread_self(3) may return
    /// the same for two threads of which one has ended.
    unblocked: (SigSet, ThreadId),
}
// ANCHOR_END: owner

impl SignalWaker {
    /// Installs a handler for each of these signals, which adds the signal to the set and writes eight bytes to
    /// `writer`.
    ///
    /// The bytes are the number 1 in native byte order: an eventfd requires that, and a pipe takes any bytes. `writer`
    /// must be nonblocking. The new owner keeps a duplicate of it.
    ///
    /// The calling thread no longer blocks these signals, and if one is pending, it comes now. Dropping the owner in the
    /// same thread blocks them again; dropping it in another thread leaves the masks of both as they are. Other threads
    /// may block the signals, unless the calling thread exits or a signal is sent to one of them with pthread_kill(3).
    ///
    /// # Errors
    /// `EBUSY` if a signal has an owner, or is in `signals` twice; `EINVAL` for `SIGKILL` and `SIGSTOP`, see
    /// sigaction(2), and for the signals of faults, `SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP` and `SIGSYS`;
    /// `EMFILE` and the others of [`cloexec::open::duplicate`] if the process cannot have one more descriptor. The error of a
    /// signal names it. After an error, every signal has its previous handler, and the mask is as it was.
    // ANCHOR: new
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = cloexec::open::duplicate(writer)?;
        let unblocked = (SigSet::empty(), current().id());
        let mut waker = Self { writer, owned: Vec::with_capacity(signals.len()), unblocked };
        // On an error, dropping `waker` restores the handlers of the signals that it owns by then.
        signals.iter().try_for_each(|signal| waker.own(*signal))?;
        // With the handlers in place, because a signal that is pending comes at once.
        waker.unblock()?;
        Ok(waker)
    }

    fn own(&mut self, signal: Signal) -> Result<()> {
        if FAULTS.contains(&signal) {
            return Err(Error::on("sigaction", format_args!("{signal}, which reports a fault"))(
                Errno::EINVAL,
            ));
        }
        let slot = &WRITERS[signal as usize];
        slot.compare_exchange(NO_OWNER, self.writer.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| {
                Error::on("sigaction", format_args!("{signal}, which has an owner"))(Errno::EBUSY)
            })?;
        PENDING.fetch_and(!bit(signal as c_int), Ordering::AcqRel);
        UNWRITTEN.fetch_and(!bit(signal as c_int), Ordering::AcqRel);
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

    fn unblock(&mut self) -> Result<()> {
        let owned: SigSet = self.owned.iter().map(|(signal, _)| *signal).collect();
        let before = owned
            .thread_swap_mask(SigmaskHow::SIG_UNBLOCK)
            .map_err(Error::on("pthread_sigmask", "the calling thread"))?;
        self.unblocked.0 = owned.iter().filter(|signal| before.contains(*signal)).collect();
        Ok(())
    }
    // ANCHOR_END: new

    /// Returns the owned signals that came since the last call, each once, and removes them from the set.
    ///
    /// What the thread that handled a signal did before it is visible to the caller. Consume the waker before you call
    /// this, because a signal that comes after this call writes its bytes again.
    // ANCHOR: take
    pub fn take(&self) -> SigSet {
        let ours = self.owned.iter().fold(0, |mask, (signal, _)| mask | bit(*signal as c_int));
        // In one step, because a signal that came between a load and a store would be lost.
        let came = PENDING.fetch_and(!ours, Ordering::AcqRel) & ours;
        let came = came | UNWRITTEN.fetch_and(!ours, Ordering::AcqRel) & ours;
        let signals = self.owned.iter().map(|(signal, _)| *signal);
        signals.filter(|signal| came & bit(*signal as c_int) != 0).collect()
    }
    // ANCHOR_END: take
}

// ANCHOR: handler
extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    let process = process();
    // Before the lookup of the descriptor, because `drop` closes it as soon as no handler is running.
    enter(process);
    let writer = WRITERS.get(signal as usize).map_or(NO_OWNER, |slot| slot.load(Ordering::SeqCst));
    // First the bit, then the bytes. If the bit was already set, the handler that set it has written its bytes or is about
    // to, and those bytes let the loop call `take`.
    if writer >= 0 && PENDING.fetch_or(bit(signal), Ordering::AcqRel) & bit(signal) == 0 {
        // SAFETY: the owner keeps it open while a handler is running.
        let writer = unsafe { BorrowedFd::borrow_raw(writer) };
        let written = write(writer, &1_u64.to_ne_bytes());
        // A full pipe (EAGAIN) is readable already. After any other error nothing wakes the loop for this signal, so its bit
        // must not keep the next one from writing. If a `take` has returned it meanwhile, it must not come back.
        if written.is_err_and(|errno| errno != Errno::EAGAIN)
            && PENDING.fetch_and(!bit(signal), Ordering::AcqRel) & bit(signal) != 0
        {
            UNWRITTEN.fetch_or(bit(signal), Ordering::AcqRel);
        }
    }
    leave(process);
    // The interrupted code may be about to read its own errno.
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

fn bit(signal: c_int) -> u32 {
    1 << signal
}

// ANCHOR: running
/// The upper half of `RUNNING`, for this process.
fn process() -> u64 {
    u64::from(getpid().as_raw().unsigned_abs()) << u32::BITS
}

fn enter(process: u64) {
    // A number that was counted by the process before a fork is dropped.
    let entered =
        |running| if running >> u32::BITS == process >> u32::BITS { running + 1 } else { process + 1 };
    let _ = RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |running| Some(entered(running)));
}

fn leave(process: u64) {
    // In the child of a fork during this handler, the number may already count the child's own handlers.
    let left = |running: u64| (running >> u32::BITS == process >> u32::BITS).then(|| running - 1);
    let _ = RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
}

fn is_running(process: u64) -> bool {
    let running = RUNNING.load(Ordering::SeqCst);
    running >> u32::BITS == process >> u32::BITS && running != process
}
// ANCHOR_END: running

// ANCHOR: drop
impl Drop for SignalWaker {
    fn drop(&mut self) {
        let (unblocked, thread) = self.unblocked;
        // First, so that a signal that comes now stays pending, as it would have before `new`.
        if thread == current().id() {
            let _ = unblocked.thread_block();
        }
        for (signal, previous) in &self.owned {
            // SAFETY: this is the action that was installed before, by code that ensured its safety.
            let _ = unsafe { sigaction(*signal, previous) };
            WRITERS[*signal as usize].store(LEAVING, Ordering::SeqCst);
        }
        // A handler in another thread may have just looked up the descriptor. If it were closed now, another file could
        // get the number before the handler writes its bytes.
        let process = process();
        while is_running(process) {
            thread::yield_now();
        }
        // Not before, because such a handler sets a bit of the set: the next owner would have the bit without the bytes.
        for (signal, _) in &self.owned {
            WRITERS[*signal as usize].store(NO_OWNER, Ordering::SeqCst);
        }
    }
}
// ANCHOR_END: drop
