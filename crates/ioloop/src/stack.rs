//! Who called whom in a thread, noted in a signal's handler, and named elsewhere.
//!
//! Contract: to note it, nothing is called that allocates or waits, and what was noted before and not read yet stays
//! as it is. To find the names takes milliseconds, and a good deal of memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Whatever goes deeper than this is cut off: the outermost functions are the loop's own.
const DEPTH: usize = 128;

/// Room for one stack.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Where each function would go on, the innermost first.
    frames: [AtomicUsize; DEPTH],
    found: AtomicUsize,
    /// Is there something to be read?
    noted: AtomicBool,
}

impl Stack {
    /// With nothing noted.
    pub(crate) const fn new() -> Self {
        Self {
            frames: [const { AtomicUsize::new(0) }; DEPTH],
            found: AtomicUsize::new(0),
            noted: AtomicBool::new(false),
        }
    }

    /// What the unwinder does at its first call, loading and allocating, is done here. To be called before anything
    /// is noted.
    pub(crate) fn prepare() {
        backtrace::trace(|_| false);
    }

    /// Note who has called this, and who has called them. Also in a signal's handler. False, and nothing is noted, as
    /// long as the last one was not read. In a thread that a panic unwinds, that is all that is noted: a signal may have
    /// interrupted the unwinder in the middle of a step, the stack cannot be walked there, and to try is a SIGSEGV.
    // ANCHOR: note
    pub(crate) fn note(&self) -> bool {
        if self.noted.swap(true, Ordering::AcqRel) {
            return false;
        }
        if thread::panicking() {
            // As if it were there to return to: behind its first byte.
            self.frames[0].store(a_panic_unwinds as *const () as usize + 1, Ordering::Relaxed);
            self.found.store(1, Ordering::Release);
            return true;
        }
        let mut found = 0;
        // SAFETY: it is this thread alone that is walked. The unwinder reads the stack and the program's own tables,
        // takes no lock that this thread could hold (glibc from 2.35 on finds the tables without one), and allocates
        // nothing, since it was called before.
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

    /// What was noted, by name, the innermost first: nothing, if nothing was. Then there is room for the next.
    ///
    /// To be called when [`note`](Self::note) has come back, by one thread at a time.
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

/// What is named in place of a stack that is being unwound.
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
