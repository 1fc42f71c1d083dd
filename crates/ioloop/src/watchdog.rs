//! Code that keeps the loop from its sleep for too long, caught with its stack while it still does.
//!
//! Contract: a timer is armed while the code of others runs, and disarmed while the loop sleeps, so it goes off for
//! nothing else. Then a signal interrupts that code, and its handler notes the stack: it calls nothing that allocates
//! or waits. A thread that does nothing else finds the names, and reports. What was interrupted goes on. What was
//! caught by the time that the watch is dropped is reported before it is gone, and nothing is reported after that.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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

use crate::stack::Stack;
use crate::{Error, Result};

/// In place of a descriptor, when nothing is watched.
const NOBODY: RawFd = -1;

// ANCHOR: statics
/// Where the handler notes what it has found.
static STACK: Stack = Stack::new();

/// What it writes to, when it has.
static TELL: AtomicI32 = AtomicI32::new(NOBODY);
// ANCHOR_END: statics

/// What has blocked.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// For longer than this.
    pub threshold: Duration,
    /// The functions that were being called, the innermost first, by name; `a_panic_unwinds` alone, if what blocked was
    /// dropped by a panic on its way.
    pub stack: Vec<String>,
}

/// Watches the thread that made it.
// ANCHOR: watch
#[derive(Debug)]
pub struct Watchdog {
    threshold: Duration,
    timer: RefCell<Timer>,
    /// What the signal did.
    before: SigAction,
    tell: Arc<EventFd>,
    over: Arc<AtomicBool>,
    reporter: Option<JoinHandle<()>>,
}
// ANCHOR_END: watch

impl Watchdog {
    /// Report what runs between [`Watchdog::arm`] and [`Watchdog::disarm`] for longer than `threshold`. What reports must not
    /// wait for this thread, which waits for it when the watch is dropped.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched; `EAGAIN` of timer_create(2) and pthread_create(3); `EMFILE` of
    /// eventfd(2). Then all is as it was.
    // ANCHOR: new
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        Stack::prepare();
        let tell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(Error::on("eventfd", "the watch"))?;
        // To this thread, and no other that the process has.
        let to =
            SigevNotify::SigevThreadId { signal: Signal::SIGALRM, thread_id: gettid().as_raw(), si_value: 0 };
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to));
        let timer = timer.map_err(Error::on("timer_create", "CLOCK_MONOTONIC"))?;
        TELL.compare_exchange(NOBODY, raw(&tell), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| Error::on("set_blocking_threshold", "a process that is watched")(Errno::EBUSY))?;
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `note` does what signal-safety(7) permits, whatever code it interrupts: see there.
        let before = unsafe { sigaction(Signal::SIGALRM, &action) }
            .inspect_err(|_| TELL.store(NOBODY, Ordering::SeqCst))
            .map_err(Error::on("sigaction", "SIGALRM"))?;
        let (tell, over) = (Arc::new(tell), Arc::new(AtomicBool::new(false)));
        // On an error, dropping `watch` gives back what it has by then.
        let mut watch = Self { threshold, timer: timer.into(), before, tell, over, reporter: None };
        let (tell, over) = (Arc::clone(&watch.tell), Arc::clone(&watch.over));
        let reporter = move || report_until(&over, &tell, threshold, report);
        let reporter = thread::Builder::new().name("watch".into()).spawn(reporter);
        let reporter = reporter.map_err(Error::on_io("pthread_create", "the thread that reports"))?;
        watch.reporter = Some(reporter);
        Ok(watch)
    }
    // ANCHOR_END: new

    // ANCHOR: arm
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
        // It fails for a time beyond all times, and for a timer that is gone.
        let _ = self.timer.borrow_mut().set(once, TimerSetTimeFlags::empty());
    }
    // ANCHOR_END: arm
}

fn raw(fd: &EventFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

// ANCHOR: handler
extern "C" fn note(_: c_int) {
    let errno = Errno::last_raw();
    let tell = TELL.load(Ordering::SeqCst);
    if tell != NOBODY && STACK.note() {
        // SAFETY: the watch keeps it open until the handler is another's.
        let tell = unsafe { BorrowedFd::borrow_raw(tell) };
        let _ = write(tell, &1_u64.to_ne_bytes());
    }
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

// ANCHOR: reporter
fn report_until(over: &AtomicBool, tell: &EventFd, threshold: Duration, mut report: impl FnMut(&Blocked)) {
    loop {
        match read(tell, &mut [0; 8]) {
            // Nobody has told it anything: a stack may be half noted.
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        // Read before the stack is: what was noted by then is reported.
        let last = over.load(Ordering::Acquire);
        let stack = STACK.names();
        if !stack.is_empty() {
            report(&Blocked { threshold, stack });
        }
        if last {
            return;
        }
    }
}
// ANCHOR_END: reporter

// ANCHOR: drop
impl Drop for Watchdog {
    fn drop(&mut self) {
        self.disarm();
        // One that went off before this was handled by now, unless this thread blocks the signal: it was sent to it.
        // SAFETY: what the kernel had for the signal before; whoever put it there answered for it.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
        self.over.store(true, Ordering::Release);
        let _ = self.tell.write(1);
        if let Some(reporter) = self.reporter.take() {
            let _ = reporter.join();
        }
        // What a report that panicked has left behind would keep the next watch from noting anything.
        let _ = STACK.names();
        TELL.store(NOBODY, Ordering::SeqCst);
    }
}
// ANCHOR_END: drop
