//! Another way for `ioloop/watchdog`: a semaphore of the C library, which a handler may post, and the old handlers' addresses.

use std::cell::RefCell;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, SI_TIMER, c_int, siginfo_t};
use nix::sys::signal::{
    SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, SigmaskHow, Signal, sigaction,
};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

use crate::call_stack::Stack;
use crate::{Error, Result};

static STACK: Stack = Stack::new();
/// Posted by the handler: see sem_post(3).
static NOTED: Semaphore = Semaphore(UnsafeCell::new(MaybeUninit::zeroed()));
/// Whether the handler may note and post.
static IS_LIVE: AtomicBool = AtomicBool::new(false);
/// The handler that SIGALRM had before, or 0, and whether it takes three arguments.
static OLD: (AtomicUsize, AtomicBool) = (AtomicUsize::new(0), AtomicBool::new(false));
/// How many threads are in the handler.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static CLAIMED: AtomicBool = AtomicBool::new(false);

struct Semaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: the C library synchronizes the calls.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    fn get(&self) -> *mut libc::sem_t {
        self.0.get().cast()
    }

    fn post(&self) {
        // SAFETY: `new` has made it, and a handler may call this.
        unsafe { libc::sem_post(self.get()) };
    }

    /// Wait for a post. Returns false if a handler interrupted the wait.
    fn wait(&self) -> bool {
        // SAFETY: `new` has made it.
        unsafe { libc::sem_wait(self.get()) == 0 }
    }
}

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
    before: Option<SigAction>,
    is_over: Arc<AtomicBool>,
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
        // SAFETY: no other thread and no handler uses it, because there is one watchdog at a time.
        Errno::result(unsafe { libc::sem_init(NOTED.get(), 0, 0) })
            .map_err(Error::on("sem_init", "the watchdog"))?;
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
            before: None,
            is_over: Arc::default(),
            reporter: None,
            _claim,
        };
        let is_over = Arc::clone(&made.is_over);
        let reporter = thread::Builder::new().spawn(move || report_until(&is_over, threshold, report));
        made.reporter = Some(reporter.map_err(Error::on_io("pthread_create", "the thread that reports"))?);
        IS_LIVE.store(true, Ordering::SeqCst);
        let action = SigAction::new(SigHandler::SigAction(alarm), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: `alarm` calls only what a handler may call.
        let old =
            unsafe { sigaction(Signal::SIGALRM, &action) }.map_err(Error::on("sigaction", "SIGALRM"))?;
        let (address, is_full) = match old.handler() {
            SigHandler::Handler(plain) => (plain as usize, false),
            SigHandler::SigAction(full) => (full as usize, true),
            _ => (0, false),
        };
        OLD.1.store(is_full, Ordering::SeqCst);
        OLD.0.store(address, Ordering::SeqCst);
        made.before = Some(old);
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
        if let Some(before) = &self.before {
            // SAFETY: this action was installed before.
            let _ = unsafe { sigaction(Signal::SIGALRM, before) };
        }
        IS_LIVE.store(false, Ordering::SeqCst);
        while RUNNING.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        OLD.0.store(0, Ordering::SeqCst);
        self.is_over.store(true, Ordering::SeqCst);
        NOTED.post();
        if let Some(reporter) = self.reporter.take() {
            let _ = reporter.join().map_err(mem::forget);
        }
        drop(STACK.names());
    }
}

/// Report a stack for each post, and what is left at the end.
fn report_until(is_over: &AtomicBool, threshold: Duration, mut report: impl FnMut(&Blocked)) {
    loop {
        if !NOTED.wait() {
            continue;
        }
        let is_last = is_over.load(Ordering::SeqCst);
        let stack = STACK.names();
        if !stack.is_empty() {
            report(&Blocked { threshold, stack });
        }
        if is_last {
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
    if !is_ours {
        forward(signal, info, context);
    } else if IS_LIVE.load(Ordering::SeqCst) && STACK.note() {
        NOTED.post();
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    Errno::set_raw(errno);
}

/// Run the handler that SIGALRM had before.
fn forward(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    type Full = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    let (address, is_full) = (OLD.0.load(Ordering::SeqCst), OLD.1.load(Ordering::SeqCst));
    if address == 0 {
        return;
    }
    if is_full {
        // SAFETY: it is the address of such a function.
        let full = unsafe { mem::transmute::<usize, Full>(address) };
        full(signal, info, context);
    } else {
        // SAFETY: as above.
        let plain = unsafe { mem::transmute::<usize, extern "C" fn(c_int)>(address) };
        plain(signal);
    }
}
