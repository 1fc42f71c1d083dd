//! Another way for `prefork/fork`: the guards are in a queue, the newest first, and `signal` of libc resets the handlers.

use std::fmt::Display;
use std::io::Write;
use std::mem::{self, MaybeUninit};
use std::panic::{self, AssertUnwindSafe, Location};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{self, ForkResult, Pid, getpid};

use crate::child::PidfdReserve;
use crate::{Child, Error, Result, threads};

struct Entry {
    id: u64,
    owner: Pid,
    what: String,
    place: &'static Location<'static>,
}

struct Registry {
    next: u64,
    entries: std::collections::VecDeque<Entry>,
}

static GUARDS: Mutex<Registry> = Mutex::new(Registry { next: 0, entries: std::collections::VecDeque::new() });

fn guards() -> MutexGuard<'static, Registry> {
    GUARDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes [`fork`] an error while it lives. Hold one in anything that must be created after the fork.
#[derive(Debug)]
pub struct ForkGuard {
    id: u64,
}

impl ForkGuard {
    /// Guard something that the error calls `what`, for example "an event loop". The error also names the place in the
    /// source that called this.
    #[track_caller]
    pub fn new(what: impl Display) -> Self {
        let what = what.to_string();
        let mut guards = guards();
        let id = guards.next;
        guards.next += 1;
        guards.entries.push_front(Entry { id, owner: getpid(), what, place: Location::caller() });
        Self { id }
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        guards()
            .entries
            .retain(|entry| !(entry.id == self.id && entry.owner == getpid()) || entry.id != self.id);
    }
}

/// These can be caused by the child's own code, so their handlers stay.
const FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];

fn remove_handlers() {
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| !FAULTS.contains(signal)) {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the first call only asks. The second one installs the default action, for which zeros are valid.
        unsafe {
            if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == -1 {
                continue;
            }
            let old = action.assume_init().sa_sigaction;
            if old != libc::SIG_DFL && old != libc::SIG_IGN {
                let mut default: libc::sigaction = mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
    }
}

fn flush() {
    _ = std::io::stdout().flush();
    // SAFETY: a null pointer means all streams.
    unsafe { libc::fflush(ptr::null_mut()) };
}

fn seed() {
    let mut seed: u32 = 0;
    // SAFETY: getrandom writes at most 4 bytes into `seed`.
    let got = unsafe { libc::getrandom((&raw mut seed).cast(), mem::size_of::<u32>(), libc::GRND_NONBLOCK) };
    if got != 4 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        seed = now ^ getpid().as_raw().cast_unsigned().rotate_left(16);
    }
    // SAFETY: this process has one thread.
    unsafe { libc::srand(seed) };
}

fn run(child: impl FnOnce() -> i32, reserve: PidfdReserve) -> ! {
    remove_handlers();
    _ = SigSet::empty().thread_set_mask();
    drop(reserve);
    seed();
    let code = panic::catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|payload| {
        mem::forget(payload);
        101
    });
    flush();
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

/// Fork a child that runs `child` and exits with the code that it returns.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    let threads = threads::count()?;
    if threads > 1 {
        let object = format!("this process, which has {threads} threads");
        return Err(Error::on("fork", object)(Errno::EBUSY));
    }
    let me = getpid();
    if let Some(entry) = guards().entries.iter().find(|entry| entry.owner == me) {
        let object = format!("this process, which has {}, made at {}", entry.what, entry.place);
        return Err(Error::on("fork", object)(Errno::EBUSY));
    }
    let reserve = PidfdReserve::new()?;
    flush();
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(Error::on("pthread_sigmask", "this process"))?;
    // SAFETY: this process has one thread, so no lock is held by another.
    let result = match unsafe { unistd::fork() } {
        Ok(ForkResult::Child) => run(child, reserve),
        Ok(ForkResult::Parent { child }) => reserve.hold(child),
        Err(errno) => Err(Error::on("fork", "this process")(errno)),
    };
    _ = mask.thread_set_mask();
    result
}
