//! Timers as you would write them first: std's heap, on the slab. A right answer of another construction, which passes
//! the tests of `timers` as it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::{Token, slab::Slab};

/// Up to this many tombstones stay, whatever the heap holds.
const FEW: usize = 512;

/// The id of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(Token);

// ANCHOR: clear
/// Timers that each carry something.
#[derive(Debug)]
pub struct Timers<T> {
    /// The nearest deadline on top. A node whose id leads nowhere is a tombstone.
    heap: BinaryHeap<Reverse<Node>>,
    timers: Slab<Timer<T>>,
    /// Collected and not yet handed out.
    due: VecDeque<Token>,
    tombstones: usize,
    /// How many were added: the order among equal deadlines.
    added: u64,
}

#[derive(Debug)]
struct Timer<T> {
    carried: T,
    /// Is its node out of the heap already?
    collected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    /// In nanoseconds: a deadline beyond 584 years is stored as 584 years.
    deadline: u64,
    order: u64,
    id: Token,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            timers: Slab::default(),
            due: VecDeque::new(),
            tombstones: 0,
            added: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Start a timer.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let id = self.timers.insert(Timer { carried, collected: false });
        self.heap.push(Reverse(Node { deadline: nanoseconds(deadline), order: self.added, id }));
        self.added += 1;
        TimerId(id)
    }

    /// Cancel it. Returns its value, or nothing if it ran or was canceled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let timer = self.timers.remove(timer.0)?;
        self.tombstones += usize::from(!timer.collected);
        Some(timer.carried)
    }

    /// The nearest deadline.
    pub fn nearest(&mut self) -> Option<Duration> {
        self.first().map(|node| Duration::from_nanos(node.deadline))
    }

    /// Compact the heap if it is time, and collect the timers that are due at `now`, by deadline. Without a timer,
    /// nothing looks at the clock.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.heap.is_empty() {
            return;
        }
        // First, because due tombstones would leave the heap one by one, which is slower.
        if self.tombstones > FEW && self.tombstones > self.heap.len() / 2 {
            self.heap.retain(|Reverse(node)| self.timers.get(node.id).is_some());
            self.tombstones = 0;
        }
        // If a panic of the hook ended the last pass, `due` still has tokens. Drop the canceled ones now, because they take
        // room. (`next_due` would skip them.)
        self.due.retain(|id| self.timers.get(*id).is_some());
        let now = nanoseconds(now());
        while let Some(&Reverse(node)) = self.heap.peek()
            && node.deadline <= now
        {
            self.heap.pop();
            match self.timers.get_mut(node.id) {
                Some(timer) => {
                    timer.collected = true;
                    self.due.push_back(node.id);
                }
                None => self.tombstones -= 1,
            }
        }
    }

    /// What the next collected timer carries, unless it was canceled since.
    pub fn next_due(&mut self) -> Option<T> {
        loop {
            let id = self.due.pop_front()?;
            if let Some(timer) = self.timers.remove(id) {
                return Some(timer.carried);
            }
        }
    }

    // ANCHOR_END: clear

    /// Are all timers with this deadline gone? May return false even if they are, so this does not look.
    pub fn is_past(&self, _: Duration) -> bool {
        false
    }

    /// How many nodes the heap has, tombstones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is the heap empty?
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The first node of a live timer.
    // ANCHOR: first
    fn first(&mut self) -> Option<Node> {
        loop {
            let Reverse(first) = *self.heap.peek()?;
            if self.timers.get(first.id).is_some() {
                return Some(first);
            }
            self.heap.pop();
            self.tombstones -= 1;
        }
    }
    // ANCHOR_END: first
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
