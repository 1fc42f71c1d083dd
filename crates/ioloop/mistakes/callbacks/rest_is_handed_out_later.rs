//! Mistake: what is left when draining ends stays in the batch, for who drains it next.
//! Caught by: what_is_left_of_a_batch_is_forgotten
//! Message: and the rest is handed out later

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;

/// A queue of callbacks, or of whatever.
#[derive(Debug)]
pub struct Callbacks<T> {
    queue: RefCell<VecDeque<T>>,
    /// Empty, with the room of the last batch.
    spare: RefCell<VecDeque<T>>,
}

/// What an iteration runs. The room is given back when it is dropped.
#[derive(Debug)]
pub struct Batch<'a, T> {
    callbacks: &'a Callbacks<T>,
    batch: VecDeque<T>,
}

impl<T> Default for Callbacks<T> {
    fn default() -> Self {
        Self { queue: RefCell::default(), spare: RefCell::default() }
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
        std::iter::from_fn(|| self.batch.pop_front())
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        // Empty: what was left in the spare would be queued again.
        self.batch.clear();
        self.callbacks.spare.replace(mem::take(&mut self.batch));
    }
}
