//! Signals on the loop: what a signal is for runs as a callback, where it may do whatever a callback may.
//!
//! Contract: the signal's own handler only notes the kind and writes to the loop's waker, so that the sleep ends.
//! After that, each kind that came since is run once. A signal has one owner in a process; given back, whatever
//! handled it before does so again. What an owner carries may call this again, also while it is dropped.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::{Result, Token, slab::Slab};

/// Who is to hear of which signals.
// ANCHOR: signals
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Slab<Owner<T>>>,
}

#[derive(Debug)]
struct Owner<T> {
    /// Dropped first: when `carried` is, the signals are free.
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
    /// From now on, these signals write to `writer`, and `carried` hears of them.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for one that nobody can handle: see [`SignalWaker::new`].
    // ANCHOR: add
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let waker = SignalWaker::new(writer, signals)?;
        Ok(self.owners.borrow_mut().insert(Owner { waker, carried: Rc::new(carried) }))
    }
    // ANCHOR_END: add

    /// Give them back. Nobody hears of one that came and was not taken.
    // ANCHOR: remove
    pub fn remove(&self, token: Token) {
        let removed = self.owners.borrow_mut().remove(token);
        // Not in the line above: there, the table would still be borrowed.
        drop(removed);
    }

    /// Give all of them back.
    pub fn clear(&self) {
        // One after the other, and not the whole table: a new one would hand out the old tokens again.
        let tokens = self.owners.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove(token));
    }
    // ANCHOR_END: remove

    /// What came since the last call, and who is to hear of it: after the waker was consumed, since a signal from
    /// here on writes to it anew.
    // ANCHOR: take
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let mut owners = self.owners.borrow_mut();
        let mut came = Vec::new();
        for token in owners.tokens() {
            if let Some(owner) = owners.get_mut(token) {
                came.extend(owner.waker.take().iter().map(|signal| (signal, Rc::clone(&owner.carried))));
            }
        }
        came
    }
    // ANCHOR_END: take
}
