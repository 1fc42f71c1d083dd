//! Mistake: the handler reports.
//! Caught by: what_blocks_is_reported_while_it_does_with_its_stack
//! Message: A handler may do next to nothing: another thread is to report

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

use crate::stack::Stack;
use crate::{Error, Result};

/// In place of a descriptor, when nothing is watched.
const NOBODY: RawFd = -1;

/// Where the handler notes what it has found.
static STACK: Stack = Stack::new();

/// Who is called.
static REPORT: Mutex<Option<Box<dyn FnMut() + Send>>> = Mutex::new(None);

/// What it writes to, when it has.
static TELL: AtomicI32 = AtomicI32::new(NOBODY);

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
    /// What the signal did.
    before: SigAction,
    _tell: Arc<EventFd>,
}

impl Watch {
    /// Report what runs between [`Watch::arm`] and [`Watch::disarm`] for longer than `threshold`. What reports must not
    /// wait for this thread, which waits for it when the watch is dropped.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched; `EAGAIN` of timer_create(2) and pthread_create(3); `EMFILE` of
    /// eventfd(2). Then all is as it was.
    pub fn new(threshold: Duration, mut report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
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
        *REPORT.lock().expect("nobody has panicked") =
            Some(Box::new(move || report(&Blocked { threshold, stack: STACK.names() })));
        let watch = Self { threshold, timer: timer.into(), before, _tell: Arc::new(tell) };
        Ok(watch)
    }

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
}

fn raw(fd: &EventFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

extern "C" fn note(_: c_int) {
    let errno = Errno::last_raw();
    let tell = TELL.load(Ordering::SeqCst);
    if tell != NOBODY && STACK.note() {
        if let Ok(mut report) = REPORT.try_lock() {
            report.iter_mut().for_each(|report| report());
        }
    }
    Errno::set_raw(errno);
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.disarm();
        // One that went off before this was handled by now: it was sent to this very thread.
        // SAFETY: what the kernel had for the signal before; whoever put it there answered for it.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
        let report = REPORT.lock().map(|mut report| report.take());
        drop(report);
        // What a report that panicked has left behind would keep the next watch from noting anything.
        let _ = STACK.names();
        TELL.store(NOBODY, Ordering::SeqCst);
    }
}
