//! Exercise `ioloop/timers`: a heap of deadlines, in which canceling leaves a tombstone.
//!
//! Goal: no timer is due before its deadline, and timers with equal deadlines come in the order in which they were added.
//! `collect` puts the due timers into a queue, behind those that a pass which ended early has left there, and `next_due`
//! hands them out one at a time. Until a timer is handed out, it can be canceled. An id leads to its own timer, or to
//! nothing. Canceling leaves a tombstone in the heap, unless the timer was collected. `collect` first removes the
//! tombstones if there are more than 512 of them in the heap and they are more than half of its nodes; `nearest` drops
//! those before the nearest live timer. A deadline too large for 64 bits of nanoseconds must not become an early one, and is due
//! at `Duration::MAX`.
//!
//! Given: std's `BinaryHeap`, and `crate::slab::Slab`, a table whose tokens, `crate::Token`, are never reused.
//! Run `cargo workbook check ioloop/timers` after each change; `hint ioloop/timers` if you are stuck.

use std::time::Duration;

/// Identifies a timer. What must it keep, so that it never leads to another timer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {}

/// Timers that each carry a value. What must it keep?
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
        todo!("keep a timer that is due at {deadline:?}: write `add` in exercises/timers.rs")
    }

    /// Cancel a timer, and return what it carried. `None` if the timer was handed out or canceled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        todo!(
            "leave a tombstone for {timer:?}, and return what it carried: write `cancel` in exercises/timers.rs"
        )
    }

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        todo!("return the nearest deadline: write `nearest` in exercises/timers.rs")
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, in the order of their
    /// deadlines. Timers that were collected before and not handed out stay collected, and come first. `now` is called only
    /// if the heap has a node at the beginning, because reading the clock is not free.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        todo!("collect the timers that are due at {:?}: write `collect` in exercises/timers.rs", now())
    }

    /// Hand out the value of the next collected timer. Skips a timer that was canceled after it was collected.
    pub fn next_due(&mut self) -> Option<T> {
        todo!("hand out one collected timer: write `next_due` in exercises/timers.rs")
    }

    /// Given. Were all timers with this deadline handed out or canceled? May return false even if they were: true only saves a
    /// look at a slot.
    pub fn is_past(&self, _deadline: Duration) -> bool {
        false
    }

    /// How many nodes the heap has, including tombstones.
    pub fn len(&self) -> usize {
        todo!("count the nodes, including tombstones: write `len` in exercises/timers.rs")
    }

    /// Is the heap empty? A heap of tombstones is not.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
