//! The watchdog: reports code that blocks the loop, with its stack, while it still blocks.
//!
//! Contract: a timer is armed while the loop runs user code, and disarmed while the loop sleeps. When the timer
//! expires, SIGALRM interrupts the code that blocks, and the signal handler notes its stack; the handler calls nothing that
//! allocates or waits. The code goes on. A thread of its own finds the names of the functions, and reports. Dropping the
//! watchdog reports the stack that was noted last, if any, and ends the reports. While there is a watchdog, its thread does
//! not block SIGALRM. A SIGALRM that is not of the watchdog's timer is no report, and runs the handler that was there
//! before.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{SI_TIMER, c_int, siginfo_t};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{gettid, read, write};

use crate::call_stack::Stack;
use crate::{Error, Result};

/// In place of a descriptor, when no thread is watched.
const NO_EVENTFD: RawFd = -1;

// ANCHOR: statics
/// The stack that the signal handler noted.
static STACK: Stack = Stack::new();

/// The eventfd that the signal handler writes to after it has noted a stack.
static EVENTFD: AtomicI32 = AtomicI32::new(NO_EVENTFD);

/// The handler that SIGALRM had before: one that gets the number of the signal, or one that gets three arguments
/// (SA_SIGINFO). Null if there was none of its kind.
static PREVIOUS: [AtomicPtr<c_void>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];
// ANCHOR_END: statics

/// A report of code that blocked the loop.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The threshold that the code exceeded.
    pub threshold: Duration,
    /// The names of the functions on the stack, the innermost first; `a_panic_unwinds` alone, if the code blocked in a drop
    /// while a panic unwound.
    pub stack: Vec<String>,
}

/// Watches the thread that made it: see timer_create(2), SIGEV_THREAD_ID.
// ANCHOR: watch
#[derive(Debug)]
pub struct Watchdog {
    threshold: Duration,
    timer: RefCell<Timer>,
    /// The disposition of SIGALRM before.
    before: SigAction,
    /// Did the thread block SIGALRM before?
    was_blocked: bool,
    eventfd: Arc<EventFd>,
    over: Arc<AtomicBool>,
    reporter: Option<JoinHandle<()>>,
}
// ANCHOR_END: watch

impl Watchdog {
    /// Watch this thread: call `report`, in a thread of its own, when more than `threshold` passes between
    /// [`Watchdog::arm`] and [`Watchdog::disarm`]. `report` must not wait for this thread, because dropping the watchdog
    /// waits for `report`.
    ///
    /// Until the drop, this thread does not block SIGALRM. A SIGALRM that is not of the watchdog's timer runs the handler
    /// that was there before; if there was none, it has no effect.
    ///
    /// # Errors
    /// `EBUSY` if a thread of this process is watched already; `EAGAIN` of timer_create(2) and pthread_create(3); `EMFILE`,
    /// `ENFILE` of eventfd(2). After an error nothing has changed.
    // ANCHOR: new
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        Stack::prepare();
        let eventfd =
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(Error::on("eventfd", "the watchdog"))?;
        // The signal must interrupt this thread, and no other thread of the process.
        let (signal, thread_id) = (Signal::SIGALRM, gettid().as_raw());
        let to = SigevNotify::SigevThreadId { signal, thread_id, si_value: mark() };
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to));
        let timer = timer.map_err(Error::on("timer_create", "CLOCK_MONOTONIC"))?;
        EVENTFD
            .compare_exchange(NO_EVENTFD, raw(&eventfd), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| Error::on("set_blocking_threshold", "a watched process")(Errno::EBUSY))?;
        let action = SigAction::new(SigHandler::SigAction(alarm), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `alarm` calls only async-signal-safe functions: see signal-safety(7), and `Stack::note` for the unwinder.
        let before = unsafe { sigaction(Signal::SIGALRM, &action) }
            .inspect_err(|_| EVENTFD.store(NO_EVENTFD, Ordering::SeqCst))
            .map_err(Error::on("sigaction", "SIGALRM"))?;
        let (eventfd, over) = (Arc::new(eventfd), Arc::new(AtomicBool::new(false)));
        remember(before.handler());
        // A blocked alarm would interrupt nothing. The mask may be inherited from the program that started this one.
        let was_blocked = SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(Signal::SIGALRM));
        let _ = SigSet::from(Signal::SIGALRM).thread_unblock();
        // On an error, dropping `watch` restores SIGALRM.
        let mut watch =
            Self { threshold, timer: timer.into(), before, was_blocked, eventfd, over, reporter: None };
        let (eventfd, over) = (Arc::clone(&watch.eventfd), Arc::clone(&watch.over));
        let reporter = move || report_until(&over, &eventfd, threshold, report);
        let reporter = thread::Builder::new().name("watch".into()).spawn(reporter);
        let reporter = reporter.map_err(Error::on_io("pthread_create", "the thread that reports"))?;
        watch.reporter = Some(reporter);
        Ok(watch)
    }
    // ANCHOR_END: new

    // ANCHOR: arm
    /// Start the timer: see timer_settime(2).
    pub fn arm(&self) {
        // A time of zero would disarm it.
        self.set(self.threshold.max(Duration::from_nanos(1)));
    }

    /// Stop the timer.
    pub fn disarm(&self) {
        self.set(Duration::ZERO);
    }

    fn set(&self, time: Duration) {
        let once = Expiration::OneShot(TimeSpec::from_duration(time));
        // It fails only for a time that the kernel cannot hold, which never expires anyway.
        let _ = self.timer.borrow_mut().set(once, TimerSetTimeFlags::empty());
    }
    // ANCHOR_END: arm
}

fn raw(fd: &EventFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

// ANCHOR: handler
extern "C" fn alarm(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let sent = unsafe { &*info };
    // SAFETY: the kernel fills it whole. Only the signal of a timer, for example, has a value in this place.
    let value = unsafe { sent.si_value() };
    let is_ours = sent.si_code == SI_TIMER && value.sival_ptr as isize == mark();
    if is_ours { note() } else { forward(signal, info, context) }
}

fn note() {
    let errno = Errno::last_raw();
    let eventfd = EVENTFD.load(Ordering::SeqCst);
    if eventfd != NO_EVENTFD && STACK.note() {
        // SAFETY: the watchdog closes the eventfd only after it has restored the signal's old handler.
        let eventfd = unsafe { BorrowedFd::borrow_raw(eventfd) };
        let _ = write(eventfd, &1_u64.to_ne_bytes());
    }
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

// ANCHOR: forward
/// The value in each signal of the watchdog's timer. Another timer, alarm(2) or kill(2) may send SIGALRM, too.
fn mark() -> isize {
    &raw const EVENTFD as isize
}

/// Keep the handler that SIGALRM had before.
fn remember(handler: SigHandler) {
    let [plain, full] = match handler {
        SigHandler::Handler(plain) => [plain as *mut c_void, ptr::null_mut()],
        SigHandler::SigAction(full) => [ptr::null_mut(), full as *mut c_void],
        _ => [ptr::null_mut(); 2],
    };
    PREVIOUS[0].store(plain, Ordering::Release);
    PREVIOUS[1].store(full, Ordering::Release);
}

/// Run the handler that SIGALRM had before, if there was one: the alarm is for it.
fn forward(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let [plain, full] = [&PREVIOUS[0], &PREVIOUS[1]].map(|handler| handler.load(Ordering::Acquire));
    if !plain.is_null() {
        // SAFETY: `remember` stored the address of such a function, and functions stay where they are.
        let plain = unsafe { mem::transmute::<*mut c_void, extern "C" fn(c_int)>(plain) };
        plain(signal);
    }
    if !full.is_null() {
        type Full = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: as above.
        let full = unsafe { mem::transmute::<*mut c_void, Full>(full) };
        full(signal, info, context);
    }
}
// ANCHOR_END: forward

// ANCHOR: reporter
fn report_until(over: &AtomicBool, eventfd: &EventFd, threshold: Duration, mut report: impl FnMut(&Blocked)) {
    loop {
        match read(eventfd, &mut [0; 8]) {
            // The program's handler of another signal ran in this thread. No stack was noted for that, so read again.
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        // Loaded before the stack is read, so a stack that was noted before the drop is reported.
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
        // The timer is disarmed, so no more alarms come. The kernel sends alarms to this thread, which has handled the last
        // one already, unless it has blocked SIGALRM since. Then it handles the last one here, unless the kernel
        // does not deliver it after the disarm, as Linux 6.18 does not.
        let _ = SigSet::from(Signal::SIGALRM).thread_unblock();
        if self.was_blocked {
            let _ = SigSet::from(Signal::SIGALRM).thread_block();
        }
        // SAFETY: restores the disposition that the signal had before `new`, which was valid then.
        let _ = unsafe { sigaction(Signal::SIGALRM, &self.before) };
        self.over.store(true, Ordering::Release);
        let _ = self.eventfd.write(1);
        if let Some(reporter) = self.reporter.take() {
            // What `report` threw is forgotten: dropping it runs code of the program, which may panic, too.
            let _ = reporter.join().map_err(mem::forget);
        }
        // If `report` panicked, a stack may be left, and the next watchdog could note none.
        let _ = STACK.names();
        EVENTFD.store(NO_EVENTFD, Ordering::SeqCst);
    }
}
// ANCHOR_END: drop
