//! Tornado's rule on std's heap, with a box in each node: canceled timers stay in the heap, which is compacted when more than
//! 512 and more than half of its nodes are canceled.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

pub type Callback = Box<dyn FnOnce()>;

#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Timer>,
    cancelled: usize,
    added: u64,
}

/// A node of the heap; and, as a clone, what the one who set the timer cancels it with.
#[derive(Clone)]
pub struct Timer {
    deadline: u64,
    order: u64,
    /// Nothing once it was cancelled.
    callback: Rc<RefCell<Option<Callback>>>,
}

impl Timers {
    pub fn add(&mut self, deadline: u64, callback: Callback) -> Timer {
        let callback = Rc::new(RefCell::new(Some(callback)));
        let timer = Timer { deadline, order: self.added, callback };
        self.added += 1;
        self.heap.push(timer.clone());
        timer
    }

    pub fn cancel(&mut self, timer: &Timer) {
        self.cancelled += usize::from(timer.callback.take().is_some());
    }

    pub fn run(&mut self, now: u64) {
        if self.cancelled > 512 && self.cancelled > self.heap.len() / 2 {
            self.heap.retain(|timer| timer.callback.borrow().is_some());
            self.cancelled = 0;
        }
        while self.heap.peek().is_some_and(|timer| timer.deadline <= now) {
            if let Some(callback) = self.heap.pop().and_then(|timer| timer.callback.take()) {
                callback();
            }
        }
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        // The other way round: std's heap has the greatest first.
        (other.deadline, other.order).cmp(&(self.deadline, self.order))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}
