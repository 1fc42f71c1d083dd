//! Ctrl-C and a polite kill: remembered instead of obeyed, so that whatever runs can be ended first.
//!
//! Code that runs a program, or waits, calls [`catch`] before it and [`check`] at least ten times a second.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::Interrupted;

static HAPPENED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember(_signal: i32) {
    HAPPENED.store(true, Ordering::Relaxed);
}

/// From now on, remember. This stays so, because between two programs that run, Ctrl-C must not be obeyed
/// either, or cargo, which has a process group of its own, would be left behind.
pub fn catch() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // No SA_RESTART: the signal must end a wait, so that `check` is called.
        let action = SigAction::new(SigHandler::Handler(remember), SaFlags::empty(), SigSet::empty());
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler stores into an atomic, which is async-signal-safe.
            let before = unsafe { sigaction(signal, &action) };
            // Under nohup, or behind an `&` in a script, it was ignored, and that was meant.
            if let Ok(before) = before
                && matches!(before.handler(), SigHandler::SigIgn)
            {
                // SAFETY: this puts back what was there, and runs no code of ours.
                let _ = unsafe { sigaction(signal, &before) };
            }
        }
    });
}

/// # Errors
/// [`Interrupted`], once it happened.
pub fn check() -> Result<()> {
    if HAPPENED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}
