//! One child, safely: what has to be done before the fork, in the child, and after it, and a guard against what
//! must not cross.
//!
//! Contract: the child has one thread, no signal handler of its parent's, and no signal blocked; what was buffered
//! for output is written once; its random numbers are its own. It runs what it was given and ends with the code
//! that this gives, or with 101 after a panic: it never comes back into its parent's code. A process that has
//! other threads, or something that a [`ForkGuard`] guards, does not fork.

use std::fmt::Display;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::{fs, ptr};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{self, ForkResult};

use crate::{Child, Error, Result};

// ANCHOR: guard
/// What lives in this process and must not cross a fork, with where it was made.
static GUARDED: Mutex<Vec<Guarded>> = Mutex::new(Vec::new());

struct Guarded {
    number: u64,
    what: String,
    place: &'static Location<'static>,
}

/// Held by what must be born after the fork: as long as it lives, [`fork`] is an error that names its holder.
///
/// An epoll instance, say, is one open file description: parent and child would have one set of registrations
/// between them. The child's own copy of a guard guards nothing.
#[derive(Debug)]
pub struct ForkGuard {
    number: u64,
}

impl ForkGuard {
    /// Guard something, which is called `what` in the error: "an event loop". The error also says from where this
    /// was called.
    #[track_caller]
    pub fn new(what: impl Display) -> Self {
        let mut guarded = GUARDED.lock().unwrap_or_else(PoisonError::into_inner);
        let number = guarded.last().map_or(0, |last| last.number + 1);
        guarded.push(Guarded { number, what: what.to_string(), place: Location::caller() });
        Self { number }
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        let mut guarded = GUARDED.lock().unwrap_or_else(PoisonError::into_inner);
        guarded.retain(|guarded| guarded.number != self.number);
    }
}
// ANCHOR_END: guard

/// Fork, and run `child` in the child.
///
/// # Errors
/// `EBUSY` if this process has other threads or something that is guarded: the error says which, and where it was
/// made. Those of fork(2), "ERRORS": `EAGAIN`, `ENOMEM`; and of pidfd_open(2), when there is no child either.
// ANCHOR: fork
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    may_fork()?;
    flush();
    // From here until the child has none of our handlers, a signal to it waits.
    let blocked = SigSet::all();
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(on("sigprocmask"))?;
    // SAFETY: there is one thread, as `may_fork` has counted, and only a thread can make another. So no lock is held
    // by somebody whom the child lacks, and the child may do whatever its parent may.
    let forked = unsafe { unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        // A panic must not unwind into what is the parent's.
        let code = catch_unwind(AssertUnwindSafe(|| {
            become_a_child();
            child()
        }));
        flush();
        // `exit` would run what the parent registered for its own end.
        // SAFETY: it ends the process at once, and nothing of it is used afterwards.
        unsafe { libc::_exit(code.unwrap_or(101)) }
    }
    before.thread_set_mask().map_err(on("sigprocmask"))?;
    match forked.map_err(on("fork"))? {
        ForkResult::Parent { child } => Child::new(child),
        ForkResult::Child => unreachable!("it ended above"),
    }
}
// ANCHOR_END: fork

fn on(operation: &'static str) -> impl FnOnce(Errno) -> Error {
    Error::on(operation, "this process")
}

// ANCHOR: may_fork
fn may_fork() -> Result<()> {
    let busy = |why: String| Err(Error::on("fork", why)(Errno::EBUSY));
    if let Some(Guarded { what, place, .. }) = GUARDED.lock().unwrap_or_else(PoisonError::into_inner).first()
    {
        return busy(format!("this process, in which lives {what}, made at {place}"));
    }
    let threads = fs::read_dir("/proc/self/task");
    match threads.map_err(Error::on_io("opendir", "/proc/self/task"))?.count() {
        1 => Ok(()),
        threads => busy(format!("this process, which has {threads} threads")),
    }
}
// ANCHOR_END: may_fork

/// Write what is buffered for output, in Rust and in C: a copy of it would be written once more.
fn flush() {
    // What cannot be written now, its copy cannot either.
    let _ = io::stdout().flush();
    // SAFETY: a null pointer stands for every stream that C has open for output.
    unsafe { libc::fflush(ptr::null_mut()) };
}

/// Put off what is the parent's and not the child's.
// ANCHOR: become_a_child
fn become_a_child() {
    GUARDED.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for signal in 1..=libc::SIGRTMAX() {
        // These are answers to what the code itself does, and whoever handles them means the child's code too.
        if ![libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT]
            .contains(&signal)
        {
            forget_handler(signal);
        }
    }
    // C's generator goes on where the parent's is, with the same numbers.
    // SAFETY: sets one number in the C library, in a process with one thread.
    unsafe { libc::srand(seed()) };
    // What waited is delivered now, to nobody's handler.
    let _ = SigSet::empty().thread_set_mask();
}

/// If there is a handler, then the default is back. What is ignored stays so.
fn forget_handler(signal: c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null pointer for the new one, nothing changes and the old one is written, or nothing is.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid value too, should nothing have been written.
    let mut action = unsafe { action.assume_init() };
    if asked == 0 && action.sa_sigaction != libc::SIG_IGN && action.sa_sigaction != libc::SIG_DFL {
        action.sa_sigaction = libc::SIG_DFL;
        // SAFETY: the default disposition runs no code of ours.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}
// ANCHOR_END: become_a_child

fn seed() -> libc::c_uint {
    let mut seed = [0; 4];
    // SAFETY: the call writes at most as many bytes as it is told that there are.
    let filled = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    // Early in the system's life there is nothing random yet; processes still differ in their numbers.
    if filled == 4 { u32::from_ne_bytes(seed) } else { std::process::id() }
}
