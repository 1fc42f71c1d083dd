//! Mistake: a token is a number, and whoever comes next has it too.
//! Caught by: an_old_token_removes_nobody
//! Message: it has given away the other one's signal

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::{Result, Token};

/// Who is to hear of which signals.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Vec<Option<Owner<T>>>>,
}

#[derive(Debug)]
struct Owner<T> {
    /// Dropped first: when `carried` is, the signals are free.
    waker: SignalWaker,
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
        let waker = SignalWaker::new(writer, signals)?;
        let mut owners = self.owners.borrow_mut();
        let free = owners.iter().position(Option::is_none).unwrap_or_else(|| {
            owners.push(None);
            owners.len() - 1
        });
        owners[free] = Some(Owner { waker, carried: Rc::new(carried) });
        Ok(Token { index: free as u32, generation: 0 })
    }

    /// Give them back. Nobody hears of one that came and was not taken.
    pub fn remove(&self, token: Token) {
        let removed = self.owners.borrow_mut().get_mut(token.index as usize).and_then(Option::take);
        // Not in the line above: there, the table would still be borrowed.
        drop(removed);
    }

    /// Give all of them back.
    pub fn clear(&self) {
        let owners = self.owners.take();
        drop(owners);
    }

    /// What came since the last call, and who is to hear of it: after the waker was consumed, since a signal from
    /// here on writes to it anew.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let mut came = Vec::new();
        for owner in self.owners.borrow().iter().flatten() {
            came.extend(owner.waker.take().iter().map(|signal| (signal, Rc::clone(&owner.carried))));
        }
        came
    }
}
