//! Signals that interrupt the caller: the program sends them while its caller is asleep in a system call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, getpid, getppid};

/// Installs a handler that does nothing, without `SA_RESTART`: a call that it interrupts fails with EINTR.
pub fn install() -> nix::Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, so it may run at any time.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.map(drop)
}

/// Installs a handler for SIGTERM, and sends SIGTERM to each child when its fork returns, by way of pthread_atfork(3):
/// between fork and exec. No such function runs in the child of posix_spawn(3): see [`signaled`].
pub fn signal_each_child(handler: extern "C" fn(i32)) -> nix::Result<()> {
    extern "C" fn in_the_parent() {
        SIGNALED.store(true, Relaxed);
    }
    extern "C" fn in_the_child() {
        // SAFETY: the call takes two integers.
        unsafe { libc::kill(getpid().as_raw(), libc::SIGTERM) };
    }
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler makes only system calls.
    unsafe { sigaction(Signal::SIGTERM, &action) }?;
    // SAFETY: the one function stores into an atomic, and the other makes one system call.
    Errno::result(unsafe { libc::pthread_atfork(None, Some(in_the_parent), Some(in_the_child)) }).map(drop)
}

/// Whether a child was sent the signal.
static SIGNALED: AtomicBool = AtomicBool::new(false);

/// Was a child sent the signal of [`signal_each_child`]?
pub fn signaled() -> bool {
    SIGNALED.load(Relaxed)
}

/// The caller: the process that started this one. A program whose caller has exited has another parent, which the signals
/// must not reach.
pub fn caller() -> Pid {
    static CALLER: OnceLock<Pid> = OnceLock::new();
    *CALLER.get_or_init(getppid)
}

/// Waits until the caller is asleep in a system call. Gives up after some time, or when the caller has exited.
pub fn caller_sleeps() -> Option<Pid> {
    let (caller, start) = (caller(), Instant::now());
    while start.elapsed() < Duration::from_secs(3) && getppid() == caller {
        if testing::proc::state(caller)? == 'S' {
            return Some(caller);
        }
        yield_now();
    }
    None
}

/// Waits until the caller is asleep in a system call, and interrupts that; and the same again, because its first sleep may
/// have been over when the signal came. An answer that makes an interrupted call again makes it as often as it takes.
pub fn interrupt_caller() {
    for _ in 0..5 {
        if let Some(caller) = caller_sleeps() {
            let _ = kill(caller, Signal::SIGUSR1);
        }
    }
}
