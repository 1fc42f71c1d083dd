//! Mistake: one waker has the signals of all, and is made anew whenever an owner comes or goes.
//! Caught by: owners_that_come_and_go_take_nothing_from_the_others
//! Message: Whoever is made anew starts with nothing

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use nix::sys::signal::{SigSet, Signal};
use waker::signal::SignalWaker;

use crate::{Result, Token, handlers::Handlers};

/// Who is to hear of which signals.
#[derive(Debug)]
pub struct Signals<T> {
    owners: RefCell<Handlers<Owner<T>>>,
    waker: RefCell<Option<SignalWaker>>,
}

#[derive(Debug)]
struct Owner<T> {
    signals: Vec<Signal>,
    writer: OwnedFd,
    carried: Rc<T>,
}

impl<T> Default for Signals<T> {
    fn default() -> Self {
        Self { owners: RefCell::default(), waker: RefCell::default() }
    }
}

impl<T> Signals<T> {
    /// From now on, these signals write to `writer`, and `carried` hears of them.
    ///
    /// # Errors
    /// `EBUSY` for a signal that has an owner, `EINVAL` for one that nobody can handle: see [`SignalWaker::new`].
    pub fn add(&self, writer: impl AsFd, signals: &[Signal], carried: T) -> Result<Token> {
        let writer = cloexec::open::duplicate(writer)?;
        let owner = Owner { signals: signals.to_vec(), writer, carried: Rc::new(carried) };
        let token = self.owners.borrow_mut().insert(owner);
        if let Err(error) = self.renew() {
            self.remove(token);
            return Err(error);
        }
        Ok(token)
    }

    fn renew(&self) -> Result<()> {
        let before = self.waker.take();
        drop(before);
        let mut owners = self.owners.borrow_mut();
        let mut signals = Vec::new();
        let mut writer = None;
        for token in owners.tokens() {
            if let Some(owner) = owners.get_mut(token) {
                signals.extend_from_slice(&owner.signals);
                writer = writer.or(Some(owner.writer.try_clone().expect("there is a descriptor left")));
            }
        }
        if let Some(writer) = writer {
            *self.waker.borrow_mut() = Some(SignalWaker::new(writer, &signals)?);
        }
        Ok(())
    }

    /// Give them back. Nobody hears of one that came and was not taken.
    pub fn remove(&self, token: Token) {
        let removed = self.owners.borrow_mut().remove(token);
        let _ = self.renew();
        drop(removed);
    }

    /// Give all of them back.
    pub fn clear(&self) {
        let (waker, owners) = (self.waker.take(), self.owners.take());
        drop(waker);
        drop(owners);
    }

    /// What came since the last call, and who is to hear of it: after the waker was consumed, since a signal from
    /// here on writes to it anew.
    pub fn take(&self) -> Vec<(Signal, Rc<T>)> {
        let set = self.waker.borrow().as_ref().map(SignalWaker::take).unwrap_or_else(SigSet::empty);
        let mut owners = self.owners.borrow_mut();
        let mut came = Vec::new();
        for token in owners.tokens() {
            if let Some(owner) = owners.get_mut(token) {
                let heard = owner.signals.iter().filter(|signal| set.contains(**signal));
                came.extend(heard.map(|signal| (*signal, Rc::clone(&owner.carried))));
            }
        }
        came
    }
}
