//! Exercise `ioloop/signals`: a table of owners of signals.
//!
//! Goal: `take` returns each signal that arrived, once, with the value of its owner. It asks every owner, because the
//! waker was drained, so a signal that it leaves behind wakes nothing. A signal has one owner in a process. Adding or
//! removing an owner loses no signal of another owner. Removing an owner restores at once the handlers that its signals
//! had before. A token never leads to an owner that was added later, not even after `clear`.
//! Dropping an owner's value may call this table, in `remove`, in `clear` and in an `add` that is refused. So while a value
//! is being dropped, the table must not be borrowed, and the signals of its owner must be free already.
//! Given: `waker::signal::SignalWaker`, your answer to `waker/signal`, or ours: its `new` returns the errors that `add`
//! returns, and dropping it restores the handlers. And `crate::slab::Slab`, a table with tokens: `insert`, `get`,
//! `remove` and `tokens`.
//! Run `cargo workbook check ioloop/signals` after each change; `hint ioloop/signals` if you are stuck.

use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;

use crate::{Result, Token};

/// The owners of signals. Each owner has some signals, and carries a value of type `T`. What must this table keep, and how
/// can a shared reference change it?
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
    /// Add an owner of these signals, which carries `carried`. From now on their handler writes to `writer`.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for SIGKILL and SIGSTOP, which no process can handle; the error names
    /// the signal. After an error nothing has changed, and `carried` is dropped.
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

    /// Remove all owners that the table has now. One that is added meanwhile, by a value that is dropped, stays.
    pub fn clear(&self) {
        todo!("remove all owners: write `clear` in exercises/signals.rs")
    }

    /// The signals that arrived since the last call, each once, with the value of its owner, in any order. The caller has
    /// consumed the waker before.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        todo!(
            "return the signals that arrived, with their owners' values: write `take` in exercises/signals.rs"
        )
    }
}
