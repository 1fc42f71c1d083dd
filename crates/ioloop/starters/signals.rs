//! Exercise `ioloop/signals`: a table of owners of signals.
//!
//! Goal: `take` returns each signal that arrived once, with the value of its owner. A signal has one owner. Removing the
//! owner restores at once the disposition that the signal had before. The owner's value may call the table, even while it
//! is dropped, and by then its signals have no owner. Given: `waker::signal::SignalWaker`, and `crate::slab::Slab`, a
//! table with tokens. Run `cargo workbook check ioloop/signals` after each change; `hint ioloop/signals` if you
//! are stuck.

use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;

use crate::{Result, Token};

/// The owners of signals, each with a value of type `T`. What must it keep, and how can a shared reference change it?
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
    /// Make `carried` the owner of these signals. From now on each of them writes to `writer`.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for SIGKILL and SIGSTOP, which no process can handle. After an error
    /// nothing has changed.
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let _ = (writer, carried);
        todo!(
            "let {signals:?} write to the writer, and keep their owner: write `add` in exercises/signals.rs"
        )
    }

    /// Remove an owner, and restore the dispositions of its signals. A signal that arrived and was not taken is lost.
    pub fn remove(&self, token: Token) {
        todo!("remove the owner {token:?}, and restore its signals: write `remove` in exercises/signals.rs")
    }

    /// Remove all owners.
    pub fn clear(&self) {
        todo!("remove all owners: write `clear` in exercises/signals.rs")
    }

    /// The signals that arrived since the last call, each with the value of its owner.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        todo!(
            "return the signals that arrived, with their owners' values: write `take` in exercises/signals.rs"
        )
    }
}
