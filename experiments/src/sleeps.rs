//! Whether somebody sleeps, so that what is to come during a sleep comes during it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io, thread};

use nix::unistd::{Pid, gettid};

use crate::lab::Result;

/// Does this process, or thread, sleep? The kernel's letter for its state is S then. See proc_pid_stat(5).
///
/// # Errors
/// `ENOENT` or `ESRCH` if it is gone.
pub fn sleeps(task: Pid) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{task}/stat"))?;
    // Its name comes before, in parentheses, and may hold anything.
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
}

/// A thread that is going to sleep, for another one that has to know when. See [`beside`].
#[derive(Debug)]
pub struct Sleeper {
    thread: Pid,
    goes: AtomicBool,
    done: AtomicBool,
}

impl Sleeper {
    /// In the thread itself: the next call that it makes is the one that is meant.
    pub fn goes_to_sleep(&self) {
        self.goes.store(true, Ordering::Release);
    }

    /// In the other one: come back when the thread is asleep; at once if it is done.
    pub fn asleep(&self) -> io::Result<()> {
        self.until(|| Ok(self.goes.load(Ordering::Acquire) && sleeps(self.thread)?))
    }

    /// In the other one: come back when this is so; at once if the thread is done.
    pub fn until(&self, so: impl Fn() -> io::Result<bool>) -> io::Result<()> {
        while !self.done.load(Ordering::Acquire) && !so()? {
            thread::yield_now();
        }
        Ok(())
    }
}

/// Run `body` in this thread, and `other` in another one that knows when this one sleeps.
pub fn beside<T>(
    other: impl FnOnce(&Sleeper) -> io::Result<()> + Send,
    body: impl FnOnce(&Sleeper) -> Result<T>,
) -> Result<T> {
    let sleeper = Sleeper { thread: gettid(), goes: AtomicBool::default(), done: AtomicBool::default() };
    thread::scope(|scope| {
        let thread = scope.spawn(|| other(&sleeper));
        let outcome = body(&sleeper);
        sleeper.done.store(true, Ordering::Release);
        thread.join().map_err(|_| "the thread panicked")??;
        outcome
    })
}
