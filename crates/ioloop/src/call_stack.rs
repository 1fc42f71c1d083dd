//! The call stack of a thread: its addresses are noted in a signal handler, and its names are found in another thread.
//!
//! Contract: `note` calls nothing that allocates or waits, and does not overwrite a stack that was not read yet. `names`
//! takes milliseconds and much memory, because it reads the debug information.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Frames beyond this depth are cut off: the outermost functions are the loop's own.
const DEPTH: usize = 128;

/// Was the unwinder called once?
static PREPARED: AtomicBool = AtomicBool::new(false);

/// Room for one stack.
#[derive(Debug)]
pub(crate) struct Stack {
    /// The return address of each frame, the innermost first.
    frames: [AtomicUsize; DEPTH],
    found: AtomicUsize,
    /// Is there a stack that was not read yet?
    noted: AtomicBool,
}

impl Stack {
    /// An empty stack.
    pub(crate) const fn new() -> Self {
        Self {
            frames: [const { AtomicUsize::new(0) }; DEPTH],
            found: AtomicUsize::new(0),
            noted: AtomicBool::new(false),
        }
    }

    /// Call the unwinder once, which may load and allocate at its first call. Before that, [`note`](Self::note) notes nothing.
    pub(crate) fn prepare() {
        backtrace::trace(|_| false);
        PREPARED.store(true, Ordering::Release);
    }

    /// Note the stack of this thread. May be called in a signal handler. False if the last stack was not read yet, or
    /// without [`prepare`](Self::prepare); then nothing is noted. In a thread that a panic unwinds, the stack is `a_panic_unwinds` alone: the signal may have
    /// interrupted the unwinder in the middle of a step, and walking the stack there may end in SIGSEGV.
    // ANCHOR: note
    pub(crate) fn note(&self) -> bool {
        if !PREPARED.load(Ordering::Acquire) || self.noted.swap(true, Ordering::AcqRel) {
            return false;
        }
        if thread::panicking() {
            // `names` looks up return addresses. A return address lies behind the call, so the look-up subtracts one to
            // find the function that contains the call. Plus one makes up for that.
            self.frames[0].store(a_panic_unwinds as *const () as usize + 1, Ordering::Relaxed);
            self.found.store(1, Ordering::Release);
            return true;
        }
        let mut found = 0;
        // SAFETY: only this thread's stack is walked. The unwinder reads the stack and the program's own tables, takes no
        // lock that this thread could hold (glibc finds the tables without a lock since 2.35), and allocates nothing
        // after its first call, which was in `prepare`.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                self.frames[found].store(frame.ip() as usize, Ordering::Relaxed);
                found += 1;
                found < DEPTH
            });
        }
        self.found.store(found, Ordering::Release);
        true
    }
    // ANCHOR_END: note

    /// The functions of the noted stack by name, the innermost first, and make room for the next. Empty if none was noted.
    ///
    /// Must be called after [`note`](Self::note) has returned, by one thread at a time.
    pub(crate) fn names(&self) -> Vec<String> {
        if !self.noted.load(Ordering::Acquire) {
            return Vec::new();
        }
        let found = self.found.load(Ordering::Acquire);
        let names = self.frames[..found].iter().map(|frame| name(frame.load(Ordering::Relaxed))).collect();
        self.noted.store(false, Ordering::Release);
        names
    }
}

/// The name that stands for a stack that is being unwound.
#[inline(never)]
fn a_panic_unwinds() {
    std::hint::black_box(DEPTH);
}

fn name(ip: usize) -> String {
    let mut found = None;
    backtrace::resolve(ip as *mut _, |symbol| {
        found = found.take().or_else(|| symbol.name().map(|name| format!("{name:#}")));
    });
    found.unwrap_or_else(|| format!("{ip:#x}"))
}
