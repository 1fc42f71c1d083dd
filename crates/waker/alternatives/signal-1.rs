//! Another way for `waker/signal`: each signal has a slot of its own, with the descriptor, whether it came, and how many of
//! its handlers are running.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::thread::{self, ThreadId, current};

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{getpid, write};

use crate::{Error, Result};

const FREE: i32 = -1;
const LEAVING: i32 = -2;

struct Slot {
    writer: AtomicI32,
    came: AtomicBool,
    /// Whether it came and its bytes could not be written.
    failed: AtomicBool,
    /// The process in the upper half, because the child of a fork has none of these handlers.
    handlers: AtomicU64,
}

static SLOTS: [Slot; 32] = [const {
    Slot {
        writer: AtomicI32::new(FREE),
        came: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        handlers: AtomicU64::new(0),
    }
}; 32];

/// The owner of some signals.
#[derive(Debug)]
pub struct SignalWaker {
    writer: OwnedFd,
    owned: Vec<(Signal, SigAction)>,
    blocked: SigSet,
    thread: ThreadId,
}

impl SignalWaker {
    /// Installs a handler for each of these signals.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let writer = cloexec::open::duplicate(writer)?;
        let mut waker = Self { writer, owned: Vec::new(), blocked: SigSet::empty(), thread: current().id() };
        let mut ours = SigSet::empty();
        for &signal in signals {
            waker.own(signal).map_err(Error::on("sigaction", signal))?;
            ours.add(signal);
        }
        let before = ours
            .thread_swap_mask(SigmaskHow::SIG_UNBLOCK)
            .map_err(Error::on("pthread_sigmask", "this thread"))?;
        waker.blocked = ours.iter().filter(|signal| before.contains(*signal)).collect();
        Ok(waker)
    }

    fn own(&mut self, signal: Signal) -> nix::Result<()> {
        use Signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
        if matches!(signal, SIGBUS | SIGFPE | SIGILL | SIGSEGV | SIGSYS | SIGTRAP) {
            return Err(Errno::EINVAL);
        }
        let Slot { writer, came, failed, .. } = &SLOTS[signal as usize];
        if writer.compare_exchange(FREE, self.writer.as_raw_fd(), SeqCst, SeqCst).is_err() {
            return Err(Errno::EBUSY);
        }
        came.store(false, SeqCst);
        failed.store(false, SeqCst);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` may interrupt any code.
        let previous = unsafe { sigaction(signal, &action) }.inspect_err(|_| writer.store(FREE, SeqCst))?;
        self.owned.push((signal, previous));
        Ok(())
    }

    /// Returns the signals that came.
    pub fn take(&self) -> SigSet {
        let signals = self.owned.iter().map(|(signal, _)| *signal);
        let slots = signals.map(|signal| (signal, &SLOTS[signal as usize]));
        slots
            .filter(|(_, slot)| slot.came.swap(false, SeqCst) | slot.failed.swap(false, SeqCst))
            .map(|(signal, _)| signal)
            .collect()
    }
}

extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    let slot = &SLOTS[signal as usize];
    let process = process();
    let enter = |count: u64| Some(1 + if count >> 32 == process >> 32 { count } else { process });
    let _ = slot.handlers.fetch_update(SeqCst, SeqCst, enter);
    let writer = slot.writer.load(SeqCst);
    if writer >= 0 && !slot.came.swap(true, SeqCst) {
        // SAFETY: `drop` closes it only when no handler of this signal is running.
        let written = write(unsafe { BorrowedFd::borrow_raw(writer) }, &1_u64.to_ne_bytes());
        if !matches!(written, Ok(_) | Err(Errno::EAGAIN)) && slot.came.swap(false, SeqCst) {
            slot.failed.store(true, SeqCst);
        }
    }
    let leave = |count: u64| (count >> 32 == process >> 32).then(|| count - 1);
    let _ = slot.handlers.fetch_update(SeqCst, SeqCst, leave);
    Errno::set_raw(errno);
}

fn process() -> u64 {
    u64::from(getpid().as_raw().unsigned_abs()) << 32
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        if self.thread == current().id() {
            let _ = self.blocked.thread_block();
        }
        for (signal, previous) in self.owned.drain(..) {
            // SAFETY: it was installed before.
            let _ = unsafe { sigaction(signal, &previous) };
            let slot = &SLOTS[signal as usize];
            slot.writer.store(LEAVING, SeqCst);
            let process = process();
            let running = || slot.handlers.load(SeqCst).checked_sub(process);
            while running().is_some_and(|count| count > 0 && count >> 32 == 0) {
                thread::yield_now();
            }
            slot.writer.store(FREE, SeqCst);
        }
    }
}
