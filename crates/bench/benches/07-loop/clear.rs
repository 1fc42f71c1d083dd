//! Timers as you would write them first: std's heap, with a box in each node.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

pub type Callback = Box<dyn FnOnce()>;

// ANCHOR: clear
#[derive(Default)]
pub struct Clear {
    heap: BinaryHeap<Timer>,
    canceled: usize,
    added: u64,
}

/// A node of the heap; and, as a clone, what the timer is canceled with.
#[derive(Clone)]
pub struct Timer {
    deadline: u64,
    order: u64,
    /// Nothing once it was canceled.
    callback: Rc<RefCell<Option<Callback>>>,
}

impl Clear {
    pub fn add(&mut self, deadline: u64, callback: Callback) -> Timer {
        let callback = Rc::new(RefCell::new(Some(callback)));
        let timer = Timer { deadline, order: self.added, callback };
        self.added += 1;
        self.heap.push(timer.clone());
        timer
    }

    pub fn cancel(&mut self, timer: &Timer) {
        self.canceled += usize::from(timer.callback.take().is_some());
    }

    pub fn run(&mut self, now: u64) {
        if self.canceled > 512 && self.canceled > self.heap.len() / 2 {
            self.heap.retain(|timer| timer.callback.borrow().is_some());
            self.canceled = 0;
        }
        // Collected before any runs: a timer that starts itself again waits for the next pass.
        let mut due = Vec::new();
        while self.heap.peek().is_some_and(|timer| timer.deadline <= now) {
            due.extend(self.heap.pop());
        }
        for timer in due {
            match timer.callback.take() {
                Some(callback) => callback(),
                None => self.canceled -= 1,
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
// ANCHOR_END: clear

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
