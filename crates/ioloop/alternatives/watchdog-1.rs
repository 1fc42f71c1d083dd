//! Another way for `ioloop/watchdog`: a pipe whose end of file ends the thread that reports, and the old action behind a pointer.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{SI_TIMER, c_int, siginfo_t};
use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, SigmaskHow, Signal, sigaction,
};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{gettid, pipe2, read, write};

use crate::call_stack::Stack;
use crate::{Error, Result};

static STACK: Stack = Stack::new();
/// The pipe to which the handler writes, or -1.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// What SIGALRM did before, or null.
static OLD: AtomicPtr<SigAction> = AtomicPtr::new(ptr::null_mut());
/// How many threads are in the handler: what the two above refer to is not freed meanwhile.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// A report of code that blocked the loop.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The threshold that the code exceeded.
    pub threshold: Duration,
    /// The names of the functions on the stack, the innermost first.
    pub stack: Vec<String>,
}

/// The right to be the only watchdog.
#[derive(Debug)]
struct Claim;

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::SeqCst);
    }
}

/// Watches the thread that made it.
#[derive(Debug)]
pub struct Watchdog {
    threshold: Duration,
    timer: RefCell<Timer>,
    was_blocked: bool,
    writer: Option<OwnedFd>,
    /// A report that panics ends its thread, and must not close the pipe: the handler's write would raise SIGPIPE.
    _reader: Arc<OwnedFd>,
    reporter: Option<JoinHandle<()>>,
    /// The last field: everything else is gone when it is given up.
    _claim: Claim,
}

impl Watchdog {
    /// Watch this thread.
    pub fn new(threshold: Duration, report: impl FnMut(&Blocked) + Send + 'static) -> Result<Self> {
        if CLAIMED.swap(true, Ordering::SeqCst) {
            return Err(Error::on("sigaction", "SIGALRM of a watched process")(Errno::EBUSY));
        }
        let _claim = Claim;
        Stack::prepare();
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(Error::on("pipe2", "the watchdog"))?;
        let reader = Arc::new(reader);
        let to = SigevNotify::SigevThreadId {
            signal: Signal::SIGALRM,
            thread_id: gettid().as_raw(),
            si_value: mark(),
        };
        let timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(to))
            .map_err(Error::on("timer_create", "CLOCK_MONOTONIC"))?;
        let alarm_alone = SigSet::from(Signal::SIGALRM);
        // An alarm that is for the old handler waits until the new one knows that.
        let before = alarm_alone
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(Error::on("pthread_sigmask", "SIGALRM"))?;
        let mut made = Self {
            threshold,
            timer: timer.into(),
            was_blocked: before.contains(Signal::SIGALRM),
            writer: Some(writer),
            _reader: Arc::clone(&reader),
            reporter: None,
            _claim,
        };
        let reporter = thread::Builder::new().spawn(move || report_until_the_end(&reader, threshold, report));
        made.reporter = Some(reporter.map_err(Error::on_io("pthread_create", "the thread that reports"))?);
        PIPE.store(made.writer.as_ref().map_or(-1, AsRawFd::as_raw_fd), Ordering::SeqCst);
        let action = SigAction::new(SigHandler::SigAction(alarm), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `alarm` calls only what a handler may call.
        let old =
            unsafe { sigaction(Signal::SIGALRM, &action) }.map_err(Error::on("sigaction", "SIGALRM"))?;
        OLD.store(Box::into_raw(Box::new(old)), Ordering::SeqCst);
        let _ = alarm_alone.thread_unblock();
        Ok(made)
    }

    /// Start the timer.
    pub fn arm(&self) {
        self.set(self.threshold.max(Duration::from_nanos(1)));
    }

    /// Stop the timer.
    pub fn disarm(&self) {
        self.set(Duration::ZERO);
    }

    fn set(&self, time: Duration) {
        let once = Expiration::OneShot(TimeSpec::from_duration(time));
        let _ = self.timer.borrow_mut().set(once, TimerSetTimeFlags::empty());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.disarm();
        // A pending alarm comes now.
        let _ = SigSet::from(Signal::SIGALRM).thread_unblock();
        if self.was_blocked {
            let _ = SigSet::from(Signal::SIGALRM).thread_block();
        }
        let old = OLD.load(Ordering::SeqCst);
        if !old.is_null() {
            // SAFETY: it is a box of `new`, and this action was installed before.
            let _ = unsafe { sigaction(Signal::SIGALRM, &*old) };
        }
        OLD.store(ptr::null_mut(), Ordering::SeqCst);
        PIPE.store(-1, Ordering::SeqCst);
        while RUNNING.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        if !old.is_null() {
            // SAFETY: it is a box of `new`, and no handler uses it.
            drop(unsafe { Box::from_raw(old) });
        }
        drop(self.writer.take());
        if let Some(reporter) = self.reporter.take() {
            let _ = reporter.join().map_err(mem::forget);
        }
        drop(STACK.names());
    }
}

/// Report a stack for each byte, and what is left at the end of file.
fn report_until_the_end(reader: &OwnedFd, threshold: Duration, mut report: impl FnMut(&Blocked)) {
    loop {
        let byte = read(reader, &mut [0]);
        if byte == Err(Errno::EINTR) {
            continue;
        }
        let stack = STACK.names();
        if !stack.is_empty() {
            report(&Blocked { threshold, stack });
        }
        if byte != Ok(1) {
            return;
        }
    }
}

/// The value in each signal of the watchdog's timer.
fn mark() -> isize {
    &raw const STACK as isize
}

extern "C" fn alarm(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    RUNNING.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the kernel passes a valid siginfo, and fills it whole.
    let is_ours = unsafe { (*info).si_code == SI_TIMER && (*info).si_value().sival_ptr as isize == mark() };
    let pipe = PIPE.load(Ordering::SeqCst);
    // SAFETY: `drop` frees it only when no handler is running.
    let old = unsafe { OLD.load(Ordering::SeqCst).as_ref() };
    if !is_ours {
        match old.map(SigAction::handler) {
            Some(SigHandler::Handler(handler)) => handler(signal),
            Some(SigHandler::SigAction(handler)) => handler(signal, info, context),
            _ => {}
        }
    } else if pipe >= 0 && STACK.note() {
        // SAFETY: `drop` closes it only when no handler is running.
        let _ = write(unsafe { BorrowedFd::borrow_raw(pipe) }, b"!");
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    Errno::set_raw(errno);
}
