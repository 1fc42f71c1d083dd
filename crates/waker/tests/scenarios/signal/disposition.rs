//! A signal's disposition in this process, as the kernel has it.

use std::mem::{self, MaybeUninit};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

/// glibc adds this flag to every action, for its own use.
const RESTORER: i32 = 0x0400_0000;

/// A signal's action: the handler, the signals that are blocked while it runs, and the flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    handler: usize,
    blocks: [bool; 32],
    flags: i32,
}

impl Disposition {
    /// Asks the kernel.
    pub fn of(signal: Signal) -> nix::Result<Self> {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: with a null pointer as the new action, the call only writes the present action, to a local variable.
        Errno::result(unsafe { libc::sigaction(signal as i32, ptr::null(), action.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so it wrote the action.
        let action = unsafe { action.assume_init() };
        // SAFETY: the mask is part of the action that the call wrote, and the numbers are signal numbers.
        let blocks =
            |number| number > 0 && unsafe { libc::sigismember(&raw const action.sa_mask, number) } == 1;
        let blocks = std::array::from_fn(|number| blocks(number as i32));
        Ok(Self { handler: action.sa_sigaction, blocks, flags: action.sa_flags & !RESTORER })
    }

    /// The handler, as a function. `None` if there is none.
    pub fn handler(&self) -> Option<extern "C" fn(i32)> {
        let known =
            ![libc::SIG_DFL, libc::SIG_IGN].contains(&self.handler) && self.flags & libc::SA_SIGINFO == 0;
        // SAFETY: a handler that was installed without SA_SIGINFO takes the signal's number.
        known.then(|| unsafe { mem::transmute::<usize, extern "C" fn(i32)>(self.handler) })
    }

    /// Returns whether SIGCHLD comes for a child that is stopped, too, and an exited child can be waited for.
    pub fn keeps_children(&self) -> bool {
        self.flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT) == 0
    }

    /// Returns whether interrupted calls are restarted.
    pub fn restarts(&self) -> bool {
        self.flags & libc::SA_RESTART != 0
    }
}

impl std::fmt::Display for Disposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.handler {
            libc::SIG_DFL => write!(f, "default"),
            libc::SIG_IGN => write!(f, "ignored"),
            handler => {
                let blocked = self.blocks.iter().filter(|blocked| **blocked).count();
                write!(f, "handler {handler:x}, {blocked} blocked, flags {:x}", self.flags)
            }
        }
    }
}
