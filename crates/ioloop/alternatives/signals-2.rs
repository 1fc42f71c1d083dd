//! Another way for `ioloop/signals`: a `SignalWaker` for each signal of an owner.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::sys::signal::Signal;
use waker::signal::SignalWaker;

use crate::slab::Slab;
use crate::{Result, Token};

/// The owners of signals. Each owner has some signals, and carries a value of type `T`.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Slab<Owner<T>>>,
}

/// The fields are dropped in this order: the signals are free before the value goes.
#[derive(Debug)]
struct Owner<T> {
    wakers: Vec<(Signal, SignalWaker)>,
    carried: Rc<T>,
}

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { owners: RefCell::new(Slab::default()) }
    }
}

impl<T> Signals<T> {
    /// Add an owner of these signals, which carries `carried`. From now on their handler writes to `writer`.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for SIGKILL and SIGSTOP, which no process can handle; the error names
    /// the signal. After an error nothing has changed, and `carried` is dropped.
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let mut wakers = Vec::with_capacity(signals.len());
        for &signal in signals {
            wakers.push((signal, SignalWaker::new(writer.as_fd(), &[signal])?));
        }
        Ok(self.owners.borrow_mut().insert(Owner { wakers, carried: Rc::new(carried) }))
    }

    /// Remove an owner, and restore the dispositions of its signals. A signal that arrived and was not taken is lost.
    pub fn remove(&self, token: Token) {
        if let Some(Owner { wakers, carried }) = { self.owners.borrow_mut().remove(token) } {
            drop(wakers);
            drop(carried);
        }
    }

    /// Remove all owners.
    pub fn clear(&self) {
        let owners: Vec<_> = {
            let mut owners = self.owners.borrow_mut();
            let tokens: Vec<Token> = owners.tokens().into_iter().collect();
            tokens.into_iter().filter_map(|token| owners.remove(token)).collect()
        };
        drop(owners);
    }

    /// The signals that arrived since the last call, each once, with the value of its owner, in any order. The caller has
    /// consumed the waker before.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let mut owners = self.owners.borrow_mut();
        let tokens: Vec<Token> = owners.tokens().into_iter().collect();
        let mut came = Vec::new();
        for token in tokens {
            if let Some(owner) = owners.get_mut(token) {
                for (signal, waker) in &owner.wakers {
                    if waker.take().contains(*signal) {
                        came.push((*signal, Rc::clone(&owner.carried)));
                    }
                }
            }
        }
        came
    }
}
