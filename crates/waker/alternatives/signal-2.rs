//! Another way for `waker/signal`: the handler finds its owner by a pointer, and the set of signals is the owner's.

use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, ThreadId, current};

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{getpid, write};

use crate::{Error, Result};

/// What the handler needs.
#[derive(Debug)]
struct Shared {
    writer: OwnedFd,
    came: AtomicU32,
    /// Those whose bytes are in the pipe, so that the next signal of the kind need not write.
    written: AtomicU32,
}

/// The owner of each signal, or null.
static OWNERS: [AtomicPtr<Shared>; 32] = [const { AtomicPtr::new(ptr::null_mut()) }; 32];

/// The address of no owner: it stands for one that is dropped, until its handlers have returned.
const LEAVING: usize = 1;

/// The process, and how many handlers are running in it.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// The owner of some signals.
#[derive(Debug)]
pub struct SignalWaker {
    /// From a box, so that the handler's pointer stays valid if this value moves.
    shared: *mut Shared,
    previous: Vec<(Signal, SigAction)>,
    blocked: (ThreadId, SigSet),
}

// SAFETY: what is behind the pointer may be used and dropped in any thread.
unsafe impl Send for SignalWaker {}
// SAFETY: only atomics change behind it.
unsafe impl Sync for SignalWaker {}

impl SignalWaker {
    /// Installs a handler for each of these signals.
    pub fn new(writer: impl AsFd, signals: &[Signal]) -> Result<Self> {
        let shared = Shared {
            writer: cloexec::open::duplicate(writer)?,
            came: AtomicU32::new(0),
            written: AtomicU32::new(0),
        };
        let mut waker = Self {
            shared: Box::into_raw(Box::new(shared)),
            previous: Vec::new(),
            blocked: (current().id(), SigSet::empty()),
        };
        for &signal in signals {
            waker.own(signal).map_err(Error::on("sigaction", signal))?;
        }
        let mask = SigSet::thread_get_mask().map_err(Error::on("pthread_sigmask", "the mask"))?;
        waker.blocked.1 = signals.iter().copied().filter(|signal| mask.contains(*signal)).collect();
        waker.blocked.1.thread_unblock().map_err(Error::on("pthread_sigmask", "the mask"))?;
        Ok(waker)
    }

    fn own(&mut self, signal: Signal) -> nix::Result<()> {
        match signal {
            Signal::SIGBUS | Signal::SIGFPE | Signal::SIGILL => return Err(Errno::EINVAL),
            Signal::SIGSEGV | Signal::SIGSYS | Signal::SIGTRAP => return Err(Errno::EINVAL),
            _ => {}
        }
        let owner = &OWNERS[signal as usize];
        owner
            .compare_exchange(ptr::null_mut(), self.shared, Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| Errno::EBUSY)?;
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` may interrupt any code.
        match unsafe { sigaction(signal, &action) } {
            Ok(previous) => self.previous.push((signal, previous)),
            Err(errno) => {
                owner.store(ptr::null_mut(), Ordering::SeqCst);
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Returns the signals that came.
    pub fn take(&self) -> SigSet {
        // SAFETY: it lives as long as `self`.
        let shared = unsafe { &*self.shared };
        // First, so that a signal that comes between the two writes.
        shared.written.swap(0, Ordering::AcqRel);
        let came = shared.came.swap(0, Ordering::AcqRel);
        let signals = self.previous.iter().map(|(signal, _)| *signal);
        signals.filter(|signal| came >> *signal as u32 & 1 == 1).collect()
    }
}

/// Adds to the count of this process, which begins anew in the child of a fork.
fn count(one: impl Fn(u64) -> u64) {
    let process = u64::from(getpid().as_raw().unsigned_abs()) << 32;
    let _ = RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
        let here = if count >> 32 == process >> 32 { count } else { process };
        Some(process | one(here & u64::from(u32::MAX)))
    });
}

extern "C" fn note(signal: c_int) {
    let errno = Errno::last_raw();
    count(|running| running + 1);
    let owner = OWNERS[signal as usize].load(Ordering::SeqCst);
    if owner.addr() > LEAVING {
        // SAFETY: `drop` frees it only when no handler is running.
        let owner = unsafe { &*owner };
        owner.came.fetch_or(1 << signal, Ordering::AcqRel);
        if owner.written.fetch_or(1 << signal, Ordering::AcqRel) >> signal & 1 == 0
            && write(&owner.writer, &1_u64.to_ne_bytes()).is_err_and(|errno| errno != Errno::EAGAIN)
        {
            owner.written.fetch_and(!(1 << signal), Ordering::AcqRel);
        }
    }
    count(|running| running.saturating_sub(1));
    Errno::set_raw(errno);
}

impl Drop for SignalWaker {
    fn drop(&mut self) {
        if self.blocked.0 == current().id() {
            let _ = self.blocked.1.thread_block();
        }
        for (signal, previous) in &self.previous {
            // SAFETY: it was installed before.
            let _ = unsafe { sigaction(*signal, previous) };
            OWNERS[*signal as usize].store(ptr::without_provenance_mut(LEAVING), Ordering::SeqCst);
        }
        let process = u64::from(getpid().as_raw().unsigned_abs());
        loop {
            let running = RUNNING.load(Ordering::SeqCst);
            if running >> 32 != process || running << 32 == 0 {
                break;
            }
            thread::yield_now();
        }
        for (signal, _) in &self.previous {
            OWNERS[*signal as usize].store(ptr::null_mut(), Ordering::SeqCst);
        }
        // SAFETY: it came from a box, and no handler has it.
        drop(unsafe { Box::from_raw(self.shared) });
    }
}
