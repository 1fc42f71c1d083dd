//! What is to run in the next iteration, first come, first served.
//!
//! Contract: an iteration takes what is queued when it begins, and no more: what is added meanwhile waits for the
//! next one, and descriptors have their turn in between. What is left of a batch that is dropped is forgotten. No
//! callback runs, and none is dropped, under a borrow. The queue and the batch are two buffers that change places and
//! keep their room, so that the steady state allocates nothing.

use std::cell::RefCell;
use std::mem;

/// A queue of callbacks, or of whatever.
// ANCHOR: callbacks
#[derive(Debug)]
pub struct Callbacks<T> {
    queue: RefCell<Vec<T>>,
    /// Empty, with room: the next queue.
    spare: RefCell<Vec<T>>,
}

/// What an iteration runs. The room is given back when it is dropped.
#[derive(Debug)]
pub struct Batch<'a, T> {
    callbacks: &'a Callbacks<T>,
    batch: Vec<T>,
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

    /// How many are queued. Those of a batch that was taken are not any more.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// All that is queued now.
    // ANCHOR: take
    pub fn take(&self) -> Batch<'_, T> {
        let batch = mem::replace(&mut *self.queue.borrow_mut(), self.spare.take());
        Batch { callbacks: self, batch }
    }
    // ANCHOR_END: take

    /// Forget all of them.
    // ANCHOR: clear
    pub fn clear(&self) {
        // Dropping one may add another, so it must not happen under the borrow.
        let dropped = self.queue.take();
        drop(dropped);
    }
    // ANCHOR_END: clear
}

// ANCHOR: batch
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
        // Empty: what was left in it would be queued again.
        self.batch.clear();
        let mut queue = self.callbacks.queue.borrow_mut();
        if queue.is_empty() {
            // Nobody was added meanwhile: what comes next goes where the processor has been lately.
            mem::swap(&mut *queue, &mut self.batch);
        }
        self.callbacks.spare.replace(mem::take(&mut self.batch));
    }
}
// ANCHOR_END: batch
