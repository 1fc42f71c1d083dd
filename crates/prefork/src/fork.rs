//! Forking one child safely: what the parent does before and after the fork, what the child does first, and a guard
//! against forking with state that parent and child must not share.
//!
//! Contract: the child has one thread, an empty signal mask, and none of its parent's signal handlers except those for
//! faults. Buffered output is written once. C's `rand` gives the child numbers of its own. The child runs the closure
//! and exits with the code that the closure returns, or with 101 after a panic; it never returns into its parent's
//! code. `fork` is an error in a process that has other threads, or anything that a [`ForkGuard`] guards.

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

use crate::child::PidfdReserve;
use crate::{Child, Error, Result, threads};

// ANCHOR: guard
/// The guards that are alive, with the place where each was made.
static GUARDED: Mutex<Vec<Guarded>> = Mutex::new(Vec::new());

struct Guarded {
    number: u64,
    /// The process that made the guard. A child has a copy of this list, in which its parent's entries do not count.
    owner: u32,
    what: String,
    place: &'static Location<'static>,
}

/// Makes [`fork`] an error while it lives. Hold one in anything that must be created after the fork.
///
/// An epoll instance is an example: parent and child would share one open file description, and with it one set of
/// registrations. A guard counts only in the process that made it. In a child that was forked by other means, the
/// copied guard has no effect, unless the child has its parent's process id, as the first process of a PID namespace
/// can have.
#[derive(Debug)]
pub struct ForkGuard {
    number: u64,
}

impl ForkGuard {
    /// Guard something that the error calls `what`, for example "an event loop". The error also names the place in the
    /// source that called this.
    #[track_caller]
    pub fn new(what: impl Display) -> Self {
        // Guards are dropped in any order, so a number is never reused.
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
// ANCHOR_END: guard

/// Fork a child that runs `child` and exits with the code that it returns, 0 to 255.
///
/// The child keeps its parent's handlers for the signals that its own code can cause: SIGSEGV, SIGBUS, SIGILL, SIGFPE,
/// SIGTRAP, SIGSYS and SIGABRT. Ignored signals stay ignored.
///
/// # Errors
/// No child exists after an error.
/// - `EBUSY` if this process has other threads, or something guarded: the error says how many threads there are, or
///   what is guarded and where the guard was made.
/// - `EAGAIN` and `ENOMEM` from fork(2), "ERRORS".
/// - `EMFILE`, `ENFILE`, and the others of pidfd_open(2).
/// - `ECHILD` if SIGCHLD is ignored: no exit status would be kept. A parent may have ignored it before it started us.
/// - `ENOENT` if /proc is not mounted, because the threads of this process cannot be counted then.
// ANCHOR: fork
pub fn fork(child: impl FnOnce() -> i32) -> Result<Child> {
    check_may_fork()?;
    let reserve = PidfdReserve::new()?;
    flush();
    // Keep signals pending until the child has removed our handlers.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(on("sigprocmask"))?;
    // SAFETY: `check_may_fork` has counted one thread, this one, and it starts no other before the fork. So no lock is
    // held by a thread that the child lacks, and the child may call whatever its parent may.
    let held = match unsafe { unistd::fork() } {
        Ok(ForkResult::Child) => {
            drop(reserve);
            run_child(child)
        }
        Ok(ForkResult::Parent { child }) => reserve.hold(child),
        Err(errno) => Err(on("fork")(errno)),
    };
    // Restore the mask after an error too, but only once the child is held: a signal handler could reap any child.
    before.thread_set_mask().map_err(on("sigprocmask"))?;
    held
}
// ANCHOR_END: fork

fn on(operation: &'static str) -> impl FnOnce(Errno) -> Error {
    Error::on(operation, "this process")
}

// ANCHOR: may_fork
fn check_may_fork() -> Result<()> {
    let busy = |why: String| Err(Error::on("fork", why)(Errno::EBUSY));
    if let Some(Guarded { what, place, .. }) = guarded().iter().find(|guarded| guarded.owner == process::id())
    {
        return busy(format!("this process, which has {what}, made at {place}"));
    }
    match threads::count()? {
        1 => Ok(()),
        threads => busy(format!("this process, which has {threads} threads")),
    }
}
// ANCHOR_END: may_fork

// ANCHOR: run_child
fn run_child(child: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(|| {
        reset_inherited_state();
        child()
    }));
    // Dropping the panic's payload may panic again, outside of `catch_unwind`.
    let code = code.unwrap_or_else(|panic| {
        mem::forget(panic);
        101
    });
    flush();
    // `exit` would run the exit handlers that the parent has registered.
    // SAFETY: it ends the process at once, so nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}
// ANCHOR_END: run_child

// ANCHOR: flush
/// Write buffered output, Rust's and C's. Otherwise the child gets a copy of the buffers, and writes it once more.
fn flush() {
    // What cannot be written now, for example because standard output is nonblocking and full, stays in both buffers.
    let _ = io::stdout().flush();
    // SAFETY: a null pointer stands for every stream that C has open for output.
    unsafe { libc::fflush(ptr::null_mut()) };
}
// ANCHOR_END: flush

/// Drop what belongs to the parent: its handlers, the state of C's random numbers, and the signal mask.
// ANCHOR: reset
fn reset_inherited_state() {
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| !FAULT_SIGNALS.contains(signal)) {
        restore_default(signal);
    }
    // Unseeded, C's generator would continue where the parent's is, with the same numbers.
    // SAFETY: sets one number in the C library, in a process with one thread.
    unsafe { libc::srand(seed()) };
    // Signals that became pending during the fork are delivered now, when the parent's handlers are gone.
    let _ = SigSet::empty().thread_set_mask();
}

/// Signals that the process's own code causes. A handler for them is meant for the child's code too.
const FAULT_SIGNALS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];

/// Restore the default action of a signal that has a handler. An ignored signal stays ignored.
fn restore_default(signal: c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer for the new action changes nothing, and the kernel writes the old one.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: even if the kernel wrote nothing, all zeros are a valid `sigaction`.
    let handler = unsafe { action.assume_init() }.sa_sigaction;
    if asked == 0 && ![libc::SIG_IGN, libc::SIG_DFL].contains(&handler) {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}
// ANCHOR_END: reset

// ANCHOR: seed
fn seed() -> libc::c_uint {
    let mut seed = [0; 4];
    // SAFETY: the call writes at most `seed.len()` bytes.
    let filled = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    // Early after boot the kernel has no random bytes yet. Process ids still differ between children.
    if filled == 4 { u32::from_ne_bytes(seed) } else { process::id() }
}
// ANCHOR_END: seed
