//! Another way for `ioloop/signals`: owners in a sorted map, numbered, and removed one by one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::{Result, Token};

/// The owners of signals. Each owner has some signals, and carries a value of type `T`.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<BTreeMap<u64, Owner<T>>>,
    next: Cell<u64>,
}

/// The fields are dropped in this order: the signals are free before the value goes.
#[derive(Debug)]
struct Owner<T> {
    waker: SignalWaker,
    carried: Rc<T>,
}

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { owners: RefCell::default(), next: Cell::new(1) }
    }
}

impl<T> Signals<T> {
    /// Add an owner of these signals, which carries `carried`. From now on their handler writes to `writer`.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for SIGKILL and SIGSTOP, which no process can handle; the error names
    /// the signal. After an error nothing has changed, and `carried` is dropped.
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let waker = SignalWaker::new(writer, signals)?;
        let number = self.next.replace(self.next.get() + 1);
        self.owners.borrow_mut().insert(number, Owner { waker, carried: Rc::new(carried) });
        Ok(Token::from_bits(number))
    }

    /// Remove an owner, and restore the dispositions of its signals. A signal that arrived and was not taken is lost.
    pub fn remove(&self, token: Token) {
        let owner = self.owners.borrow_mut().remove(&token.to_bits());
        drop(owner);
    }

    /// Remove all owners.
    pub fn clear(&self) {
        let numbers: Vec<u64> = self.owners.borrow().keys().copied().collect();
        for number in numbers {
            let owner = self.owners.borrow_mut().remove(&number);
            drop(owner);
        }
    }

    /// The signals that arrived since the last call, each once, with the value of its owner, in any order. The caller has
    /// consumed the waker before.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let owners = self.owners.borrow();
        owners
            .values()
            .rev()
            .flat_map(|owner| {
                let set = owner.waker.take();
                let signals: Vec<Signal> = set.iter().collect();
                signals.into_iter().map(|signal| (signal, Rc::clone(&owner.carried)))
            })
            .collect()
    }
}
