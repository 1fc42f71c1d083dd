//! Exercise `ioloop/timers`: what is to run at a time.
//!
//! Goal: nothing is due before its deadline, and equal deadlines come in the order in which they were added. What is
//! due is collected first, and taken one by one afterwards; until it is taken, it can be cancelled. An id leads to its
//! own timer, or to nothing. Cancelling only marks, and the marks are taken out in `collect` when there are more than
//! 512 of them and they are more than half of all. A deadline that no number can hold is one that never comes.
//! Run `cargo run -p workbook check ioloop/timers` after each change; `hint ioloop/timers` if you are stuck.

use std::time::Duration;

/// Which timer. What must it say, so that it is nobody else's later?
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
    /// Have a timer due at that time.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let _ = carried;
        todo!("keep it, due at {deadline:?}: write `add` in exercises/timers.rs")
    }

    /// Have it not run. What it carried, if it had yet to run; nothing if it ran or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        todo!("mark {timer:?}, and give back what it carried: write `cancel` in exercises/timers.rs")
    }

    /// The nearest deadline of a timer that was not cancelled.
    pub fn nearest(&mut self) -> Option<Duration> {
        todo!("say when the next timer that lives is due: write `nearest` in exercises/timers.rs")
    }

    /// Put whoever is due now into `due`, by deadline, and sweep if there are many marks.
    pub fn collect(&mut self, now: Duration, due: &mut Vec<TimerId>) {
        let _ = due;
        todo!("say who is due at {now:?}: write `collect` in exercises/timers.rs")
    }

    /// What a timer that was collected carries; nothing if it was cancelled since, or was not collected.
    pub fn take(&mut self, timer: TimerId) -> Option<T> {
        todo!("hand out what {timer:?} carries, once: write `take` in exercises/timers.rs")
    }

    /// How many wait, with those of whom only a mark is left. What was collected waits no more.
    pub fn len(&self) -> usize {
        todo!("count what waits, marks too: write `len` in exercises/timers.rs")
    }

    /// Is nothing kept at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
