//! Another way for `ioloop/timers`: the fields of hint 2 and the steps of hint 3, with a queue of tokens.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::Token;
use crate::slab::Slab;

/// Identifies a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    token: Token,
}

#[derive(Debug)]
struct Timer<T> {
    carried: T,
    collected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    deadline: u64,
    order: u64,
    id: Token,
}

/// Timers that each carry a value.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<Node>>,
    table: Slab<Timer<T>>,
    due: VecDeque<Token>,
    tombstones: usize,
    added: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            table: Slab::default(),
            due: VecDeque::new(),
            tombstones: 0,
            added: 0,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<T> Timers<T> {
    /// Start a timer that is due at `deadline`.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let token = self.table.insert(Timer { carried, collected: false });
        self.heap.push(Reverse(Node { deadline: nanos(deadline), order: self.added, id: token }));
        self.added += 1;
        TimerId { token }
    }

    /// Cancel a timer, and return what it carried. `None` if the timer was handed out or canceled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let timer = self.table.remove(timer.token)?;
        if !timer.collected {
            self.tombstones += 1;
        }
        Some(timer.carried)
    }

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        loop {
            let Reverse(Node { deadline, id: token, .. }) = *self.heap.peek()?;
            if self.table.get(token).is_some() {
                return Some(Duration::from_nanos(deadline));
            }
            self.heap.pop();
            self.tombstones -= 1;
        }
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, in the order of their
    /// deadlines. Timers that were collected before and not handed out stay collected, and come first. `now` is called only
    /// if the heap has a node, because reading the clock is not free.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.heap.is_empty() {
            return;
        }
        if self.tombstones > 512 && self.tombstones > self.heap.len() / 2 {
            self.heap.retain(|Reverse(Node { id: token, .. })| self.table.get(*token).is_some());
            self.tombstones = 0;
        }
        let now = nanos(now());
        while let Some(&Reverse(Node { deadline, id: token, .. })) = self.heap.peek() {
            if deadline > now {
                break;
            }
            self.heap.pop();
            match self.table.get_mut(token) {
                Some(timer) => {
                    timer.collected = true;
                    self.due.push_back(token);
                }
                None => self.tombstones -= 1,
            }
        }
    }

    /// Hand out the value of the next collected timer. Skips a timer that was canceled after it was collected.
    pub fn next_due(&mut self) -> Option<T> {
        while let Some(token) = self.due.pop_front() {
            if let Some(timer) = self.table.remove(token) {
                return Some(timer.carried);
            }
        }
        None
    }

    /// Given. Were all timers with this deadline handed out or canceled? May return false even if they were: true only saves a
    /// look at a slot.
    pub fn is_past(&self, _deadline: Duration) -> bool {
        false
    }

    /// How many nodes the heap has, including tombstones.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is the heap empty? A heap of tombstones is not.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
