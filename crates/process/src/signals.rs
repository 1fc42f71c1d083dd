//! Signals around a fork: blocked until the child has removed its parent's handlers.
//!
//! Until exec, a child has its parent's handlers. If one ran in the child, the signal would be lost to the program, and
//! the handler would do in the child what it should do in the parent, for example write to a pipe that both have.
//!
//! Contract: nothing here allocates or takes a lock, so the child of a process with threads may call it.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};

/// Blocks every signal in the calling thread until it is dropped, which restores the previous mask.
///
/// Make it before the fork. The parent drops it after the fork, and the child after [`Blocked::remove_handlers`].
// ANCHOR: blocked
#[derive(Debug)]
pub struct Blocked {
    before: SigSet,
    /// A mask belongs to a thread, so the value stays in the one that made it.
    here: PhantomData<*const ()>,
}

impl Blocked {
    /// Blocks every signal in the calling thread, except SIGKILL, SIGSTOP, and two that glibc keeps for itself.
    ///
    /// # Errors
    /// None: pthread_sigmask(3) only refuses an operation that does not exist.
    pub fn new() -> nix::Result<Self> {
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        Ok(Self { before, here: PhantomData })
    }

    /// Gives each signal that has a handler its default action, in the child of a fork. Ignored signals stay ignored, as
    /// they do in exec.
    pub fn remove_handlers(&self) {
        for number in 1..=libc::SIGRTMAX() {
            let mut action = MaybeUninit::<libc::sigaction>::uninit();
            // SAFETY: with a null pointer as the new action, the call only writes the present action, to a local variable.
            if unsafe { libc::sigaction(number, ptr::null(), action.as_mut_ptr()) } != 0 {
                continue; // the C library keeps two signals for itself
            }
            // SAFETY: the call succeeded, so it wrote the action.
            let handler = unsafe { action.assume_init() }.sa_sigaction;
            if handler != libc::SIG_IGN && handler != libc::SIG_DFL {
                // SAFETY: the default action runs no code of this process.
                unsafe { libc::signal(number, libc::SIG_DFL) };
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}
// ANCHOR_END: blocked
