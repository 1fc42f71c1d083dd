//! What is to run in the next iteration, first come, first served.
//!
//! Contract: an iteration takes what is queued when it begins, and no more: what is added meanwhile waits for the
//! next one, and descriptors have their turn in between. Both buffers keep their capacity, so that the steady state
//! allocates nothing.

use std::cell::RefCell;
use std::collections::VecDeque;

/// A queue, and how much of it the iteration has still to run.
// ANCHOR: callbacks
#[derive(Debug)]
pub struct Callbacks<T> {
    queue: RefCell<VecDeque<T>>,
}
// ANCHOR_END: callbacks

impl<T> Default for Callbacks<T> {
    fn default() -> Self {
        Self { queue: RefCell::default() }
    }
}

impl<T> Callbacks<T> {
    /// Queue something for the next iteration, also from inside of what runs now.
    pub fn add(&self, callback: T) {
        self.queue.borrow_mut().push_back(callback);
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// How many are queued: what an iteration takes when it begins.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Run so many of them, in their order. No borrow is held while one runs: it may add more.
    pub fn run(&self, count: usize, mut each: impl FnMut(T)) {
        for _ in 0..count {
            // Its own statement: the borrow ends here, and not after the callback.
            let next = self.queue.borrow_mut().pop_front();
            match next {
                Some(callback) => each(callback),
                // Somebody has closed the loop from inside.
                None => return,
            }
        }
    }

    /// Forget all of them.
    pub fn clear(&self) {
        // Dropping one may add another, so it must not happen under the borrow.
        let dropped = std::mem::take(&mut *self.queue.borrow_mut());
        drop(dropped);
    }
}
