//! Exercise `ioloop/signals`: who hears of which signals.
//!
//! Goal: each owner hears of its own signals, each kind once, when it is asked what came. A signal has one owner, and
//! when that is removed the signal is given back at once, to whatever handled it before. What an owner carries may call
//! this again, also while it is dropped; by then its signals are free.
//! `waker::signal::SignalWaker` is there already, and so is `crate::slab::Slab`, a table with tokens.
//! Run `cargo run -p workbook check ioloop/signals` after each change; `hint ioloop/signals` if you are stuck.

use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;

use crate::{Result, Token};

/// Who is to hear of which signals. What must it keep, that can be changed by reference?
#[derive(Debug)]
pub struct Signals<T> {
    /// Here only so that this compiles.
    _owners: Vec<T>,
}

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { _owners: Vec::new() }
    }
}

impl<T> Signals<T> {
    /// From now on, these signals write to `writer`, and `carried` hears of them.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for one that nobody can handle. Then nothing has changed.
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let _ = (writer, carried);
        todo!(
            "make {signals:?} write to the writer, and keep who hears of them: write `add` in exercises/signals.rs"
        )
    }

    /// Give them back. Nobody hears of one that came and was not taken.
    pub fn remove(&self, token: Token) {
        todo!("give back the signals of {token:?}: write `remove` in exercises/signals.rs")
    }

    /// Give all of them back.
    pub fn clear(&self) {
        todo!("give back the signals of all: write `clear` in exercises/signals.rs")
    }

    /// What came since the last call, and who is to hear of it.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        todo!("say which signals came, and who hears of each: write `take` in exercises/signals.rs")
    }
}
