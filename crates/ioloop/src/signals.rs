//! Signals on the loop: the code for a signal runs as a callback, so it may do whatever a callback may.
//!
//! Contract: the handler that the kernel calls only sets a flag for its signal and writes to the loop's waker, which ends
//! the sleep. After that, `take` returns each signal that arrived once. A signal has one owner in a process. Removing the
//! owner restores the disposition that the signal had before. The owner's value may call this table, even while it is
//! dropped.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::{Result, Token, slab::Slab};

/// The owners of signals. Each owner has some signals, and carries a value of type `T`.
// ANCHOR: signals
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Slab<Owner<T>>>,
}

#[derive(Debug)]
struct Owner<T> {
    /// Dropped first, so that the signals have no owner when `carried` is dropped.
    waker: SignalWaker,
    carried: Rc<T>,
}
// ANCHOR_END: signals

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { owners: RefCell::default() }
    }
}

impl<T> Signals<T> {
    /// Add an owner of these signals, which carries `carried`. From now on their handler writes to `writer`.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for a signal that no process can handle, or should not: see
    /// [`SignalWaker::new`]. After an error nothing has changed.
    // ANCHOR: add
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let waker = SignalWaker::new(writer, signals)?;
        Ok(self.owners.borrow_mut().insert(Owner { waker, carried: Rc::new(carried) }))
    }
    // ANCHOR_END: add

    /// Remove an owner, and restore the dispositions of its signals. A signal that arrived and was not taken is lost.
    // ANCHOR: remove
    pub fn remove(&self, token: Token) {
        let removed = self.owners.borrow_mut().remove(token);
        // Not in the statement above: the table would still be borrowed.
        drop(removed);
    }

    /// Remove all owners that the table has now. One that is added meanwhile, by a value that is dropped, stays.
    pub fn clear(&self) {
        // One after the other, because a new table would hand out the old tokens again.
        let tokens = self.owners.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove(token));
    }
    // ANCHOR_END: remove

    /// The signals that arrived since the last call, each with the value of its owner. Consume the waker before this call: a
    /// signal that arrives after `take` writes to the waker again.
    // ANCHOR: take
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let owners = self.owners.borrow();
        let mut came = Vec::new();
        for token in owners.tokens() {
            if let Some(owner) = owners.get(token) {
                came.extend(owner.waker.take().iter().map(|signal| (signal, Rc::clone(&owner.carried))));
            }
        }
        came
    }
    // ANCHOR_END: take
}
