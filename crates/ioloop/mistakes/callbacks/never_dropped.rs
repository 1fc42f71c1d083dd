//! Mistake: what is left of a batch is forgotten in Rust's sense of the word.
//! Caught by: a_callback_that_is_dropped_may_add_another
//! Message: Or was the first one never dropped?

use std::cell::RefCell;
use std::mem;

/// A queue of callbacks, or of whatever.
#[derive(Debug)]
pub struct Callbacks<T> {
    queue: RefCell<Vec<T>>,
    /// Empty, with the room of the last batch.
    spare: RefCell<Vec<T>>,
}

/// What an iteration runs. The room is given back when it is dropped.
#[derive(Debug)]
pub struct Batch<'a, T> {
    callbacks: &'a Callbacks<T>,
    batch: Vec<T>,
}

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

    /// How many are queued. Those of a batch that was taken are not any more.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// All that is queued now.
    pub fn take(&self) -> Batch<'_, T> {
        let batch = mem::replace(&mut *self.queue.borrow_mut(), self.spare.take());
        Batch { callbacks: self, batch }
    }

    /// Forget all of them.
    pub fn clear(&self) {
        // Dropping one may add another, so it must not happen under the borrow.
        let dropped = self.queue.take();
        drop(dropped);
    }
}

impl<T> Batch<'_, T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Hand them out, each once, in their order. Those that are not asked for are forgotten.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.batch.drain(..)
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        // Empty: what was left in the spare would be queued again.
        self.batch.drain(..).for_each(mem::forget);
        self.callbacks.spare.replace(mem::take(&mut self.batch));
    }
}
