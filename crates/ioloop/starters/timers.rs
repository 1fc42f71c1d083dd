//! Exercise `ioloop/timers`: what runs at a time.
//!
//! Goal: no timer is due before its deadline, and timers with equal deadlines come in the order in which they were added. Due
//! timers are collected first and handed out one at a time; until a timer is handed out, it can be canceled. An id leads to
//! its own timer, or to nothing. Canceling leaves a tombstone in the heap, and `collect` takes the tombstones out when there
//! are more than 512 of them and they are more than half of the heap. A deadline that no number can hold never comes.
//!
//! `crate::heap::Heap` is there already, a heap of deadlines that knows slots and not what is in them; std's `BinaryHeap`
//! does, too.
//! Run `cargo run -p workbook check ioloop/timers` after each change; `hint ioloop/timers` if you are stuck.

use std::time::Duration;

/// Which timer. What must it say, so that it never leads to another timer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {}

/// Timers that each carry something. What must it keep?
#[derive(Debug)]
pub struct Timers<T> {
    /// Here only so that this compiles.
    _carried: Vec<T>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { _carried: Vec::new() }
    }
}

impl<T> Timers<T> {
    /// Start a timer that is due at `deadline`.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let _ = carried;
        todo!("keep it, due at {deadline:?}: write `add` in exercises/timers.rs")
    }

    /// Cancel a timer. Returns what it carried; nothing if it was handed out or canceled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        todo!("leave a tombstone for {timer:?}, and return what it carried: write `cancel` in exercises/timers.rs")
    }

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        todo!("say when the next timer is due: write `nearest` in exercises/timers.rs")
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, by deadline. `now` is
    /// asked only if there is a timer: reading the clock is not free.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        todo!("collect what is due at {:?}: write `collect` in exercises/timers.rs", now())
    }

    /// What the next collected timer carries. A timer that was canceled after it was collected is left out.
    pub fn next_due(&mut self) -> Option<T> {
        todo!("hand out what was collected, one at a time: write `next_due` in exercises/timers.rs")
    }

    /// How many nodes the heap has, tombstones included.
    pub fn len(&self) -> usize {
        todo!("count the nodes, tombstones too: write `len` in exercises/timers.rs")
    }

    /// Has the heap no node?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
