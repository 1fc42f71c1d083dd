//! Mistake: `remove` says that an owner is gone, and `take` gives its signals back when it gets there.
//! Caught by: removed_the_signals_do_what_they_did_before
//! Message: A signal is given back when its owner is removed, and not when somebody gets to it

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::{Result, Token, handlers::Handlers};

/// Who is to hear of which signals.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Handlers<Owner<T>>>,
    gone: RefCell<Vec<Token>>,
}

#[derive(Debug)]
struct Owner<T> {
    /// Dropped first: when `carried` is, the signals are free.
    waker: SignalWaker,
    carried: Rc<T>,
}

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { owners: RefCell::default(), gone: RefCell::default() }
    }
}

impl<T> Signals<T> {
    /// From now on, these signals write to `writer`, and `carried` hears of them.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for one that nobody can handle: see [`SignalWaker::new`].
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let waker = SignalWaker::new(writer, signals)?;
        Ok(self.owners.borrow_mut().insert(Owner { waker, carried: Rc::new(carried) }))
    }

    /// Give them back. Nobody hears of one that came and was not taken.
    pub fn remove(&self, token: Token) {
        self.gone.borrow_mut().push(token);
    }

    /// Give all of them back.
    pub fn clear(&self) {
        let owners = self.owners.take();
        drop(owners);
    }

    /// What came since the last call, and who is to hear of it: after the waker was consumed, since a signal from
    /// here on writes to it anew.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        for token in self.gone.take() {
            let removed = self.owners.borrow_mut().remove(token);
            drop(removed);
        }
        let mut owners = self.owners.borrow_mut();
        let mut came = Vec::new();
        for token in owners.tokens() {
            if let Some(owner) = owners.get_mut(token) {
                came.extend(owner.waker.take().iter().map(|signal| (signal, Rc::clone(&owner.carried))));
            }
        }
        came
    }
}
