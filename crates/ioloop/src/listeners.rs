//! Code that is told of something: any number of listeners, each told in the order in which they were added.
//!
//! Contract: a listener may add and remove listeners while it is told, itself too. One that is added meanwhile is told from the
//! next time on, and one that is removed is not told anymore. Nothing is borrowed while a listener runs or is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Any number of listeners.
pub(crate) struct Listeners<T> {
    /// A round goes through the list as it was when it began: whoever changes the list meanwhile changes a copy.
    list: RefCell<Rc<Vec<(u64, T)>>>,
    count: Cell<usize>,
    /// How many there were: each has a number.
    added: Cell<u64>,
}

impl<T> Default for Listeners<T> {
    fn default() -> Self {
        Self { list: RefCell::default(), count: Cell::new(0), added: Cell::new(0) }
    }
}

impl<T: Clone> Listeners<T> {
    /// Is there none? It is asked before each callback, so it is one load.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.get() == 0
    }

    /// Add one, and return its number.
    pub(crate) fn add(&self, listener: T) -> u64 {
        let number = self.added.get();
        self.added.set(number + 1);
        self.change(|list| {
            list.push((number, listener));
            None
        });
        number
    }

    /// Remove one. A number that leads nowhere is no error.
    pub(crate) fn remove(&self, number: u64) {
        let removed = self.change(|list| {
            let at = list.iter().position(|(other, _)| *other == number)?;
            Some(list.remove(at))
        });
        // Not under the borrow: what it holds may call the loop when it is dropped.
        drop(removed);
    }

    /// Tell each of them.
    pub(crate) fn each(&self, mut tell: impl FnMut(&T)) {
        let list = Rc::clone(&self.list.borrow());
        for (number, listener) in list.iter() {
            if self.list.borrow().iter().any(|(other, _)| other == number) {
                tell(listener);
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(u64, T)>) -> Option<(u64, T)>) -> Option<(u64, T)> {
        let mut list = self.list.borrow_mut();
        let removed = change(Rc::make_mut(&mut list));
        self.count.set(list.len());
        removed
    }
}
