//! Having something done in the middle of a fork: see pthread_atfork(3).
//!
//! The C library calls these inside fork(3), so what they do happens after everything that the code under test does
//! before the fork, and before everything that it does after it, on either side. No timing is needed for that.

use std::sync::OnceLock;

use nix::libc;

/// What is done at each fork from now on.
#[derive(Clone, Copy, Default)]
pub struct AtFork {
    /// In the parent, before there is a child.
    pub before: Option<fn()>,
    /// In the parent, when there is one.
    pub parent: Option<fn()>,
    /// In the child.
    pub child: Option<fn()>,
}

static WHAT: OnceLock<AtFork> = OnceLock::new();

impl AtFork {
    /// From now on; once in a process.
    pub fn register(self) {
        extern "C" fn before() {
            run(|what| what.before);
        }
        extern "C" fn parent() {
            run(|what| what.parent);
        }
        extern "C" fn child() {
            run(|what| what.child);
        }
        assert!(WHAT.set(self).is_ok(), "one thing is done at a fork");
        // SAFETY: the three are there for ever, and do what may be done in a process with one thread.
        unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    }
}

fn run(which: fn(&AtFork) -> Option<fn()>) {
    if let Some(work) = WHAT.get().and_then(which) {
        work();
    }
}
