//! Mistake: who hears of the signals is kept, and then it is seen whether they can be had.
//! Caught by: who_is_refused_leaves_nothing_behind
//! Message: two were refused their signals, and what they carried is still here

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::{SigSet, Signal};
use waker::signal::SignalWaker;

use crate::{Result, Token, handlers::Handlers};

/// Who is to hear of which signals.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Handlers<Owner<T>>>,
}

#[derive(Debug)]
struct Owner<T> {
    waker: Option<SignalWaker>,
    carried: Rc<T>,
}

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
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let token = self.owners.borrow_mut().insert(Owner { waker: None, carried: Rc::new(carried) });
        let waker = SignalWaker::new(writer, signals)?;
        if let Some(owner) = self.owners.borrow_mut().get_mut(token) {
            owner.waker = Some(waker);
        }
        Ok(token)
    }

    /// Give them back. Nobody hears of one that came and was not taken.
    pub fn remove(&self, token: Token) {
        let removed = self.owners.borrow_mut().remove(token);
        // Not in the line above: there, the table would still be borrowed.
        drop(removed);
    }

    /// Give all of them back.
    pub fn clear(&self) {
        let tokens = self.owners.borrow().tokens();
        tokens.into_iter().for_each(|token| self.remove(token));
    }

    /// What came since the last call, and who is to hear of it: after the waker was consumed, since a signal from
    /// here on writes to it anew.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let mut owners = self.owners.borrow_mut();
        let mut came = Vec::new();
        for token in owners.tokens() {
            if let Some(owner) = owners.get_mut(token) {
                let heard = owner.waker.as_ref().map(SignalWaker::take).unwrap_or_else(SigSet::empty);
                came.extend(heard.iter().map(|signal| (signal, Rc::clone(&owner.carried))));
            }
        }
        came
    }
}
