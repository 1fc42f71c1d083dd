//! A list of listeners, which are notified in the order in which they were added.
//!
//! Contract: a listener that is being notified may add and remove listeners, including itself. A listener that it adds is
//! notified from the next round on, and a listener that it removes is not notified anymore. Nothing is borrowed while a
//! listener runs or is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::failure::Drops;

/// A list of listeners.
pub(crate) struct Listeners<T> {
    /// A round of notifications holds the list as it was when the round began. Changing the list meanwhile changes a copy.
    list: RefCell<Rc<Vec<(u64, T)>>>,
    count: Cell<usize>,
    /// How many listeners were ever added: the number of the next one.
    added: Cell<u64>,
    /// Only listeners with a lower number are notified: see [`Listeners::begin`].
    limit: Cell<u64>,
}

impl<T> Default for Listeners<T> {
    fn default() -> Self {
        Self {
            list: RefCell::default(),
            count: Cell::new(0),
            added: Cell::new(0),
            limit: Cell::new(u64::MAX),
        }
    }
}

impl<T: Clone> Listeners<T> {
    /// Is the list empty? The loop asks before each callback, so this is one load.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Add a listener, and return its number.
    pub(crate) fn add(&self, listener: T) -> u64 {
        let number = self.added.get();
        self.added.set(number + 1);
        self.change(|list| {
            list.push((number, listener));
            None
        });
        number
    }

    /// Remove a listener. Does nothing if it was removed already.
    pub(crate) fn remove(&self, number: u64) {
        let removed = self.change(|list| {
            let at = list.iter().position(|(other, _)| *other == number)?;
            Some(list.remove(at))
        });
        // Not under the borrow: the listener's values may call the loop when they are dropped.
        drop(removed);
    }

    /// Remove all listeners, and return them.
    pub(crate) fn clear(&self) -> Vec<T> {
        self.count.set(0);
        self.list.take().iter().map(|(_, listener)| listener.clone()).collect()
    }

    /// Begin what the next round is about: the listeners that are added from here on are not notified of it.
    pub(crate) fn begin(&self) {
        self.limit.set(self.added.get());
    }

    /// Call `notify` with each listener.
    pub(crate) fn for_each(&self, mut notify: impl FnMut(&T)) {
        let list = Rc::clone(&self.list.borrow());
        // A panic of a listener goes on at the end.
        let mut drops = Drops::default();
        drops.within(|| {
            for (number, listener) in list.iter() {
                let is_there = || self.list.borrow().iter().any(|(other, _)| other == number);
                if *number < self.limit.get() && is_there() {
                    notify(listener);
                }
            }
        });
        // The listeners that were removed meanwhile.
        Rc::into_inner(list).into_iter().flatten().for_each(|listener| drops.of(listener));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(u64, T)>) -> Option<(u64, T)>) -> Option<(u64, T)> {
        let mut list = self.list.borrow_mut();
        let removed = change(Rc::make_mut(&mut list));
        self.count.set(list.len());
        removed
    }
}
