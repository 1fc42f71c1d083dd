//! Mistake: after a panic the child ends at once, with its buffers.
//! Caught by: what_a_child_that_panics_has_written_is_written
//! Message: a panic that is caught ends in `_exit` too

use std::fmt::Display;
use std::io::{self, Write};
use std::mem::{self, MaybeUninit};
use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{process, ptr};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{self, ForkResult};

use crate::child::Cradle;
use crate::{Child, Error, Result, threads};

/// What must not cross a fork, with where it was made.
static GUARDED: Mutex<Vec<Guarded>> = Mutex::new(Vec::new());

struct Guarded {
    number: u64,
    /// The process in which it was made. A child has a copy of this list, and its parent's entries mean nothing
    /// there.
    owner: u32,
    what: String,
    place: &'static Location<'static>,
}

/// Held by what must be born after the fork: as long as it lives, [`fork`] is an error that names its holder.
///
/// An epoll instance, say, is one open file description: parent and child would have one set of registrations
/// between them. A guard is for the process that made it. A copy, in a child that was forked by other means, guards
/// nothing.
#[derive(Debug)]
pub struct ForkGuard {
    number: u64,
}

impl ForkGuard {
    /// Guard something, which is called `what` in the error: "an event loop". The error also says from where this
    /// was called.
    #[track_caller]
    pub fn new(what: impl Display) -> Self {
        // Never the same one twice: guards go in any order.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (owner, what, place) = (process::id(), what.to_string(), Location::caller());
        guarded().push(Guarded { number, owner, what, place });
        Self { number }
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        guarded().retain(|guarded| guarded.number != self.number);
    }
}

fn guarded() -> impl DerefMut<Target = Vec<Guarded>> {
    GUARDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fork, and run `child` in the child.
///
/// The handlers that stay are those for what the child's own code does: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP,
/// SIGSYS, SIGABRT. What is ignored stays ignored.
///
/// # Errors
/// `EBUSY` if this process has other threads or something that is guarded: the error says how many, or what, and
/// where it was made. Those of fork(2), "ERRORS": `EAGAIN`, `ENOMEM`; of pidfd_open(2), `EMFILE` above all; and
/// `ECHILD` where SIGCHLD is ignored. There is no child then.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    may_fork()?;
    let cradle = Cradle::new()?;
    flush();
    // From here until the child has none of our handlers, a signal to it waits.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(on("sigprocmask"))?;
    // SAFETY: there is one thread, as `may_fork` has counted, and only a thread can make another. So no lock is held
    // by somebody whom the child lacks, and the child may do whatever its parent may.
    let held = match unsafe { unistd::fork() } {
        Ok(ForkResult::Child) => {
            drop(cradle);
            be_the_child(child)
        }
        Ok(ForkResult::Parent { child }) => cradle.hold(child),
        Err(errno) => Err(on("fork")(errno)),
    };
    // Whatever came of it; and not before the child is held, for a handler may wait for any child.
    before.thread_set_mask().map_err(on("sigprocmask"))?;
    held
}

fn on(operation: &'static str) -> impl FnOnce(Errno) -> Error {
    Error::on(operation, "this process")
}

fn may_fork() -> Result<()> {
    let busy = |why: String| Err(Error::on("fork", why)(Errno::EBUSY));
    if let Some(Guarded { what, place, .. }) = guarded().iter().find(|guarded| guarded.owner == process::id())
    {
        return busy(format!("this process, in which lives {what}, made at {place}"));
    }
    match threads::count()? {
        1 => Ok(()),
        threads => busy(format!("this process, which has {threads} threads")),
    }
}

fn be_the_child(child: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(|| {
        become_a_child();
        child()
    }));
    // What a panic leaves behind may panic when it is dropped, and there is nothing left to catch that.
    let code = code.unwrap_or_else(|panic| {
        mem::forget(panic);
        // SAFETY: it ends the process at once, and nothing of it is used afterwards.
        unsafe { libc::_exit(101) }
    });
    flush();
    // `exit` would run what the parent registered for its own end.
    // SAFETY: it ends the process at once, and nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Write what is buffered for output, in Rust and in C: a copy of it would be written once more.
fn flush() {
    // What cannot be written now, its copy cannot either.
    let _ = io::stdout().flush();
    // SAFETY: a null pointer stands for every stream that C has open for output.
    unsafe { libc::fflush(ptr::null_mut()) };
}

/// Put off what is the parent's and not the child's.
fn become_a_child() {
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| !FAULTS.contains(signal)) {
        forget_handler(signal);
    }
    // C's generator goes on where the parent's is, with the same numbers.
    // SAFETY: sets one number in the C library, in a process with one thread.
    unsafe { libc::srand(seed()) };
    // What waited is delivered now, to nobody's handler.
    let _ = SigSet::empty().thread_set_mask();
}

/// Answers to what the code itself does: whoever handles them means the child's code too.
const FAULTS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];

/// If there is a handler, then the default is back. What is ignored stays so.
fn forget_handler(signal: c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null pointer for the new one, nothing changes and the old one is written, or nothing is.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid value too, should nothing have been written.
    let handler = unsafe { action.assume_init() }.sa_sigaction;
    if asked == 0 && ![libc::SIG_IGN, libc::SIG_DFL].contains(&handler) {
        // SAFETY: the default disposition runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn seed() -> libc::c_uint {
    let mut seed = [0; 4];
    // SAFETY: the call writes at most as many bytes as it is told that there are.
    let filled = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    // Early in the system's life there is nothing random yet; processes still differ in their numbers.
    if filled == 4 { u32::from_ne_bytes(seed) } else { process::id() }
}
