//! Code that keeps the loop from its sleep for too long, caught with its stack while it still does.
//!
//! Contract: a timer is armed while the code of others runs, and disarmed while the loop sleeps, so it goes off for
//! nothing else. Then a signal interrupts that code, and its handler walks up the stack, and notes where each function
//! would go on: it calls nothing that allocates or waits. A thread that does nothing else finds the names, and reports.
//! What was interrupted goes on.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{gettid, read, write};

use crate::{Error, Result};

/// Whatever goes deeper than this is cut off: the outermost functions are the loop's own.
const DEPTH: usize = 128;

// ANCHOR: statics
/// What the handler has found: where each function would go on, the innermost first.
static STACK: [AtomicUsize; DEPTH] = [const { AtomicUsize::new(0) }; DEPTH];
static FOUND: AtomicUsize = AtomicUsize::new(0);

/// What the handler writes to, when it has; -1 for nobody.
static TELL: AtomicI32 = AtomicI32::new(-1);

/// Is the last stack still being read?
static TAKEN: AtomicBool = AtomicBool::new(false);
// ANCHOR_END: statics

/// What has blocked.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// For longer than this.
    pub threshold: Duration,
    /// The functions that were being called, the innermost first, by name.
    pub stack: Vec<String>,
}

/// Watches the thread that made it.
#[derive(Debug)]
pub struct Watch {
    threshold: Duration,
    timer: RefCell<Timer>,
    before: SigAction,
    tell: Arc<EventFd>,
    over: Arc<AtomicBool>,
    reporter: Option<JoinHandle<()>>,
}

impl Watch {
    /// Report what runs between [`Watch::arm`] and [`Watch::disarm`] for longer than `threshold`. What reports must not
    /// wait for this thread, which waits for it when the watch is dropped.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched; `EAGAIN` of timer_create(2); `EMFILE` of eventfd(2).
    // ANCHOR: new
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        let tell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(Error::on("eventfd", "the watch"))?;
        let tell = Arc::new(tell);
        TELL.compare_exchange(-1, raw(&tell), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| Error::on("set_blocking_threshold", "a process that is watched")(Errno::EBUSY))?;
        // What the unwinder does at its first call, loading and allocating, is not done in the handler.
        backtrace::trace(|_| false);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        let armed = || -> Result<_> {
            // SAFETY: `note` does what signal-safety(7) permits, whatever code it interrupts: see there.
            let before =
                unsafe { sigaction(Signal::SIGALRM, &action) }.map_err(Error::on("sigaction", "SIGALRM"))?;
            // To this thread, and no other that the process has.
            let to = SigevNotify::SigevThreadId {
                signal: Signal::SIGALRM,
                thread_id: gettid().as_raw(),
                si_value: 0,
            };
            let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to));
            Ok((before, timer.map_err(Error::on("timer_create", "CLOCK_MONOTONIC"))?))
        };
        let (before, timer) = armed().inspect_err(|_| TELL.store(-1, Ordering::SeqCst))?;
        let over = Arc::new(AtomicBool::new(false));
        let reporter = {
            let (tell, over) = (Arc::clone(&tell), Arc::clone(&over));
            thread::spawn(move || report_until(&over, &tell, threshold, report))
        };
        Ok(Self { threshold, timer: timer.into(), before, tell, over, reporter: Some(reporter) })
    }
    // ANCHOR_END: new

    /// From now on the time counts.
    pub fn arm(&self) {
        // Zero would disarm it.
        self.set(self.threshold.max(Duration::from_nanos(1)));
    }

    /// From now on it does not.
    pub fn disarm(&self) {
        self.set(Duration::ZERO);
    }

    fn set(&self, time: Duration) {
        let once = Expiration::OneShot(TimeSpec::from_duration(time));
        // It fails for a time that is none, and for a timer that is gone.
        let _ = self.timer.borrow_mut().set(once, TimerSetTimeFlags::empty());
    }
}

fn raw(fd: &EventFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

// ANCHOR: handler
extern "C" fn note(_: c_int) {
    let errno = Errno::last_raw();
    let tell = TELL.load(Ordering::SeqCst);
    if tell >= 0 && !TAKEN.swap(true, Ordering::AcqRel) {
        let mut found = 0;
        // SAFETY: it is this thread alone that is walked. The unwinder reads the stack and the program's own tables,
        // takes no lock that this thread could hold (glibc finds the tables without one), and allocates nothing, since
        // it was called before.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                STACK[found].store(frame.ip() as usize, Ordering::Relaxed);
                found += 1;
                found < DEPTH
            });
        }
        FOUND.store(found, Ordering::Release);
        // SAFETY: the watch keeps it open until the handler is another's.
        let tell = unsafe { BorrowedFd::borrow_raw(tell) };
        let _ = write(tell, &1_u64.to_ne_bytes());
    }
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

fn report_until(over: &AtomicBool, tell: &EventFd, threshold: Duration, mut report: impl FnMut(&Blocked)) {
    loop {
        if read(tell, &mut [0; 8]).is_err_and(|errno| errno != Errno::EINTR) || over.load(Ordering::Acquire) {
            return;
        }
        let found = FOUND.load(Ordering::Acquire);
        let stack = STACK[..found].iter().map(|ip| name(ip.load(Ordering::Relaxed))).collect();
        TAKEN.store(false, Ordering::Release);
        report(&Blocked { threshold, stack });
    }
}

fn name(ip: usize) -> String {
    let mut found = None;
    backtrace::resolve(ip as *mut _, |symbol| {
        found = found.take().or_else(|| symbol.name().map(|name| format!("{name:#}")));
    });
    found.unwrap_or_else(|| format!("{ip:#x}"))
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.disarm();
        // One that went off before this was handled by now: it was sent to this very thread.
        // SAFETY: what the kernel had for the signal before; whoever put it there answered for it.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
        TELL.store(-1, Ordering::SeqCst);
        self.over.store(true, Ordering::Release);
        let _ = self.tell.write(1);
        if let Some(reporter) = self.reporter.take() {
            let _ = reporter.join();
        }
        TAKEN.store(false, Ordering::Release);
    }
}
