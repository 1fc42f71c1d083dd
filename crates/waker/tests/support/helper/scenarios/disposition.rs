//! What a signal does in this process, as the kernel has it.

use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

/// glibc sets this one on whatever it is given, for its own use.
const RESTORER: i32 = 0x0400_0000;

/// What comes of a signal: the handler (or that there is none), the signals it blocks meanwhile, and its flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    handler: usize,
    blocks: [bool; 32],
    flags: i32,
}

impl Disposition {
    /// Ask the kernel.
    pub fn of(signal: Signal) -> nix::Result<Self> {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: with a null pointer for the new one, nothing changes and the old one is written.
        Errno::result(unsafe { libc::sigaction(signal as i32, ptr::null(), action.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so it was written.
        let action = unsafe { action.assume_init() };
        // SAFETY: the mask is part of what was written, and the numbers are those of signals.
        let blocks =
            |number| number > 0 && unsafe { libc::sigismember(&raw const action.sa_mask, number) } == 1;
        let blocks = std::array::from_fn(|number| blocks(number as i32));
        Ok(Self { handler: action.sa_sigaction, blocks, flags: action.sa_flags & !RESTORER })
    }

    /// Is an interrupted call started again?
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
