//! Running functions in the middle of a fork: see pthread_atfork(3).
//!
//! The C library calls them inside of fork(3): after all that the code under test does before the fork, and before all
//! that it does after it, in parent and child. So no test depends on timing.

use std::sync::OnceLock;

use nix::libc;

/// The functions to run at each fork.
#[derive(Clone, Copy, Default)]
pub struct AtFork {
    /// Runs in the parent, before the child exists.
    pub before: Option<fn()>,
    /// Runs in the parent, when the child exists.
    pub parent: Option<fn()>,
    /// Runs in the child.
    pub child: Option<fn()>,
}

static WHAT: OnceLock<AtFork> = OnceLock::new();

impl AtFork {
    /// Run them at each fork from now on. A process can register only once.
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
        assert!(WHAT.set(self).is_ok(), "register was called twice");
        // SAFETY: the three functions live as long as the process, which has one thread, so they may call any function.
        unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    }
}

fn run(which: fn(&AtFork) -> Option<fn()>) {
    if let Some(work) = WHAT.get().and_then(which) {
        work();
    }
}
