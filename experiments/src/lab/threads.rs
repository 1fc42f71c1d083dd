//! Threads: forking in a process that has them, and acting at the moment when one sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use nix::libc::SYS_tgkill;
use nix::unistd::{ForkResult, Pid, fork, getpid, gettid};

use super::child::{Child, die_with};
use super::state::sleeps;
use super::{Lab, Lane};
use crate::environment::{forked, needs};
use crate::timeline::{Event, LOG, What};
use crate::verdict::Result;

/// A note that is ready to be written, with one system call, without memory and locks. See [`Lab::fork_with_threads`].
#[derive(Debug)]
pub struct Prepared(Vec<u8>);

impl Prepared {
    /// Write it down. Async-signal-safe: one write(2) of bytes that exist already.
    pub fn write(&self) {
        // SAFETY: the bytes are this object's and outlive the call, which reads them and nothing else. The log's
        // descriptor is open for as long as the process lives.
        unsafe { nix::libc::write(LOG, self.0.as_ptr().cast(), self.0.len()) };
    }
}

impl Lane {
    /// Prepare a note on the lane of a child that does not exist yet.
    pub fn prepare(&self, lane: &str, text: &str) -> Prepared {
        let event =
            Event { lane: lane.into(), by: lane.into(), what: What::Note, text: text.into(), at_us: None };
        Prepared(event.line())
    }
}

impl Lab {
    /// Fork, whatever threads this process has. The child runs `body` and exits with the status that `body` gives.
    ///
    /// # Safety
    ///
    /// The child has only this thread, and each lock that another thread held stays locked there forever: those of the
    /// memory allocator and the standard output, for example. So `body` may do only what signal-safety(7) allows, down
    /// to its last line: system calls on what existed before the fork, without allocating, formatting, printing or
    /// panicking. If it takes a lock, to show what happens, another process has to kill it.
    pub unsafe fn fork_with_threads(&mut self, lane: &str, body: impl FnOnce() -> i32) -> Result<Child> {
        self.event(lane, What::Born, "fork");
        let parent = getpid();
        // SAFETY: from here on the child calls prctl, getppid and _exit, which are plain system calls, and `body`, for
        // which the caller answers.
        match forked(unsafe { fork() })? {
            ForkResult::Parent { child } => Ok(Child::new(child, lane)),
            ForkResult::Child => {
                let unwound = Unwound;
                die_with(parent);
                let status = body();
                std::mem::forget(unwound);
                // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
                unsafe { nix::libc::_exit(status) }
            }
        }
    }
}

/// Only a panic drops it, and that ends the process: it must not unwind into the parent's half of the program.
struct Unwound;

impl Drop for Unwound {
    fn drop(&mut self) {
        // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
        unsafe { nix::libc::_exit(101) }
    }
}

/// A thread that is going to sleep, as another one sees it that has to know when. See [`beside`].
#[derive(Debug)]
pub struct Sleeper {
    thread: Pid,
    goes: AtomicBool,
    done: AtomicBool,
}

impl Sleeper {
    /// In the thread itself: its next system call is the one in which it sleeps.
    pub fn goes_to_sleep(&self) {
        self.goes.store(true, Ordering::Release);
    }

    /// In the other thread: return when the thread sleeps, or at once if it is done.
    pub fn asleep(&self) -> io::Result<()> {
        self.until(|| Ok(self.goes.load(Ordering::Acquire) && sleeps(self.thread)?))
    }

    /// In the other thread: return when `so` holds, or at once if the thread is done.
    pub fn until(&self, so: impl Fn() -> io::Result<bool>) -> io::Result<()> {
        while !self.done.load(Ordering::Acquire) && !so()? {
            thread::yield_now();
        }
        Ok(())
    }
}

/// Run `body` in this thread, and `other` in another one, which knows when this one sleeps.
///
/// # Errors
/// Those of the two, and a [`cannot_ask`](crate::cannot_ask) where no thread can be signaled: then this one would sleep for ever.
pub fn beside<T>(
    other: impl FnOnce(&Sleeper) -> io::Result<()> + Send,
    body: impl FnOnce(&Sleeper) -> Result<T>,
) -> Result<T> {
    needs(&[SYS_tgkill])?;
    let sleeper = Sleeper { thread: gettid(), goes: AtomicBool::default(), done: AtomicBool::default() };
    thread::scope(|scope| {
        let thread = scope.spawn(|| other(&sleeper));
        let outcome = body(&sleeper);
        sleeper.done.store(true, Ordering::Release);
        thread.join().map_err(|_| "the thread panicked")??;
        outcome
    })
}
