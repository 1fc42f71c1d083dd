//! Exercise `ioloop/callbacks`: what is to run in the next iteration.
//!
//! Goal: a batch is what was queued when it was taken, first come, first served; what is added while it runs waits for
//! the next one. What is left of a batch that is dropped is forgotten. A callback may add another, while it runs and
//! while it is dropped. And when each turn is like the last one, nothing is allocated.
//! Run `cargo run -p workbook check ioloop/callbacks` after each change; `hint ioloop/callbacks` if you are stuck.

/// A queue of callbacks. What must it keep, that can be changed by reference?
#[derive(Debug)]
pub struct Callbacks<T> {
    /// Here only so that this compiles.
    _queued: Vec<T>,
}

/// What an iteration runs. What must it keep?
#[derive(Debug)]
pub struct Batch<'a, T> {
    /// Here only so that this compiles.
    _callbacks: &'a Callbacks<T>,
}

impl<T> Default for Callbacks<T> {
    fn default() -> Self {
        Self { _queued: Vec::new() }
    }
}

impl<T> Callbacks<T> {
    /// Queue something for the next iteration, also from inside of what runs now.
    pub fn add(&self, callback: T) {
        let _ = callback;
        todo!("queue it, also while a batch is being run: write `add` in exercises/callbacks.rs")
    }

    /// Is nothing queued?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are queued. Those of a batch that was taken are not any more.
    pub fn len(&self) -> usize {
        todo!("count what is queued: write `len` in exercises/callbacks.rs")
    }

    /// All that is queued now.
    pub fn take(&self) -> Batch<'_, T> {
        todo!(
            "hand out all that is queued, and nothing that comes later: write `take` in exercises/callbacks.rs"
        )
    }

    /// Forget all of them.
    pub fn clear(&self) {
        todo!("drop what is queued, whatever that does: write `clear` in exercises/callbacks.rs")
    }
}

impl<T> Batch<'_, T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        todo!("count what was taken: write `Batch::len` in exercises/callbacks.rs")
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hand them out, each once, in their order. Those that are not asked for are forgotten.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| todo!("hand out what was taken: write `drain` in exercises/callbacks.rs"))
    }
}
