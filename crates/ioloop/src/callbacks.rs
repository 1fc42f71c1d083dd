//! What is to run in the next iteration, first come, first served.
//!
//! Contract: an iteration takes what is queued when it begins, and no more: what is added meanwhile waits for the
//! next one, and descriptors have their turn in between. The queue and what is being run are two buffers that change
//! places and keep their room, so that the steady state allocates nothing, and no callback runs under a borrow.

use std::cell::RefCell;
use std::mem;

/// A queue of callbacks, or of whatever.
// ANCHOR: callbacks
#[derive(Debug)]
pub struct Callbacks<T> {
    queue: RefCell<Vec<T>>,
    /// Empty, with the room of the last batch.
    spare: RefCell<Vec<T>>,
}
// ANCHOR_END: callbacks

impl<T> Default for Callbacks<T> {
    fn default() -> Self {
        Self { queue: RefCell::default(), spare: RefCell::default() }
    }
}

impl<T> Callbacks<T> {
    /// Queue something for the next iteration, also from inside of what runs now.
    pub fn add(&self, callback: T) {
        self.queue.borrow_mut().push(callback);
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// How many are queued.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// What an iteration runs: all that is queued now, in its order. It is to be given back when that is done.
    // ANCHOR: take
    pub fn take(&self) -> Vec<T> {
        mem::replace(&mut *self.queue.borrow_mut(), self.spare.take())
    }

    /// Give back the room of what was taken.
    pub fn give_back(&self, mut batch: Vec<T>) {
        batch.clear();
        self.spare.replace(batch);
    }
    // ANCHOR_END: take

    /// Forget all of them.
    pub fn clear(&self) {
        // Dropping one may add another, so it must not happen under the borrow.
        let dropped = self.queue.take();
        drop(dropped);
    }
}
