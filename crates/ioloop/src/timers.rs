//! Timers: a heap of deadlines, in which canceling leaves a tombstone.
//!
//! Contract: no timer is due before its deadline, and timers with equal deadlines are due in the order in which they were
//! added. Due timers are collected first and handed out one at a time, so a timer that starts itself again waits for the
//! next pass, and a collected timer can still be canceled. Canceling searches nothing. A pass compacts a heap in which
//! more than 512 nodes, and more than half of all, are tombstones. It decides that before the due timers leave the heap, so
//! after a pass the heap has at most twice as many nodes as there were timers, waiting or due, when the pass began, and 512
//! nodes more.

use std::collections::VecDeque;
use std::mem::{self, ManuallyDrop};
use std::time::Duration;

use crate::heap::{Heap, Node};

/// Up to this many tombstones stay, however small the heap is.
const FEW: usize = 512;

/// Identifies a timer, for [`Timers::cancel`]: a slot, and how many timers had the slot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Timers that each carry a value.
// ANCHOR: timers
#[derive(Debug)]
pub struct Timers<T> {
    /// A node for each timer that waits, and a tombstone for each that was canceled since the last compaction.
    heap: Heap,
    slots: Vec<Slot<T>>,
    /// Empty slots.
    free: Vec<u32>,
    /// How many slots were freed since the list of free slots was sorted.
    freed: usize,
    /// The nodes of collected timers that were not handed out yet, and the tombstones of those that were canceled.
    due: VecDeque<Node>,
    /// How many tombstones there are, in the heap and in `due`.
    tombstones: usize,
    /// No timer that waits or is collected has a deadline before this one.
    passed: u64,
    /// The order of the next timer among those of its deadline.
    added: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many timers had this slot before.
    generation: u32,
    /// The order of the timer that has the slot, or [`EMPTY`].
    order: u32,
    carried: Option<T>,
}

impl<T> Slot<T> {
    /// Does the slot hold the timer of this node? If not, the node is a tombstone.
    fn holds(&self, node: Node) -> bool {
        self.order == node.order()
    }

    /// Take what the timer carries. From now on its id and its node lead nowhere.
    #[inline]
    fn vacate(&mut self) -> Option<T> {
        let carried = self.carried.take()?;
        self.generation = self.generation.wrapping_add(1);
        self.order = EMPTY;
        Some(carried)
    }
}
// ANCHOR_END: timers

/// The order of an empty slot. No timer has it.
const EMPTY: u32 = u32::MAX;

/// The order of the first timer: near the end, so that any program with four thousand timers numbers them anew, and finds what
/// is wrong with that soon. Linux does the same with its count of ticks.
const FIRST: u32 = EMPTY - 4096;

impl<T> Default for Timers<T> {
    fn default() -> Self {
        let (heap, slots, free, due) = (Heap::default(), Vec::new(), Vec::new(), VecDeque::new());
        Self { heap, slots, free, freed: 0, due, tombstones: 0, passed: 0, added: FIRST }
    }
}

impl<T> Timers<T> {
    /// Start a timer that is due at `deadline`.
    #[inline(always)]
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        // Nothing drops the value on the way to its slot, not even a panic, so the compiler keeps it in registers. `forget`
        // does the same for the value that the slot had: none.
        let carried = ManuallyDrop::new(carried);
        if self.added == EMPTY {
            self.renumber();
        }
        let (deadline, order, index) = (nanoseconds(deadline), self.added, self.free_slot());
        let slot = &mut self.slots[index as usize];
        slot.order = order;
        mem::forget(slot.carried.replace(ManuallyDrop::into_inner(carried)));
        let generation = slot.generation;
        self.heap.push(Node::new(deadline, order, index));
        self.passed = self.passed.min(deadline);
        self.added += 1;
        TimerId { index, generation }
    }

    /// Cancel a timer, and return what it carried. `None` if the timer was handed out or canceled before.
    // ANCHOR: cancel
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let slot = self.slots.get_mut(timer.index as usize)?;
        let carried = if slot.generation == timer.generation { slot.vacate()? } else { return None };
        self.free.push(timer.index);
        self.freed += 1;
        // The node stays where it is, in the heap or in `due`, and is a tombstone now.
        self.tombstones += 1;
        Some(carried)
    }
    // ANCHOR_END: cancel

    /// The nearest deadline of the timers that wait. Tombstones before it leave the heap.
    pub fn nearest(&mut self) -> Option<Duration> {
        self.first().map(|node| Duration::from_nanos(node.deadline()))
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, in the order of their
    /// deadlines. Timers that were collected before and not handed out stay collected, and come first. `now` is called
    /// only if the heap has a node, because reading the clock is not free.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.heap.is_empty() {
            return;
        }
        // A panic may have ended the last pass and left nodes here. Drop those of timers that were canceled since: `compact`
        // sets the count of tombstones to 0, so none may be left in `due`.
        let left = self.due.len();
        self.due.retain(|node| self.slots[node.slot() as usize].holds(*node));
        self.tombstones -= left - self.due.len();
        let (left, now) = (self.due.len(), nanoseconds(now()));
        // First, because tombstones that are due would leave the heap one by one.
        if self.tombstones > FEW && self.tombstones > self.heap.len() / 2 {
            self.compact(now);
        }
        while let Some(first) = self.first().filter(|first| first.deadline() <= now) {
            self.heap.pop();
            self.due.push_back(first);
            // One pass over all nodes is faster than to pop many.
            if self.due.len() - left > self.heap.len() / 8 {
                self.compact(now);
            }
        }
        self.passed = if left > 0 { 0 } else { self.due.front().map_or(now, |first| first.deadline()) };
    }

    /// Hand out the value of the next collected timer. Skips a timer that was canceled after it was collected.
    pub fn next_due(&mut self) -> Option<T> {
        loop {
            let node = self.due.pop_front()?;
            if self.slots[node.slot() as usize].holds(node) {
                self.free.push(node.slot());
                self.freed += 1;
                return self.slots[node.slot() as usize].vacate();
            }
            self.tombstones -= 1;
        }
    }

    /// Were all timers with this deadline handed out or canceled? If so, canceling one would do nothing, and this looks at no
    /// slot. May return false even if they were.
    pub fn is_past(&self, deadline: Duration) -> bool {
        nanoseconds(deadline) < self.passed || self.heap.is_empty() && self.due.is_empty()
    }

    /// How many nodes the heap has, including tombstones.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is the heap empty? A heap of tombstones is not.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// A free slot, or a new one.
    fn free_slot(&mut self) -> u32 {
        let many = FEW + self.slots.len() / 8;
        if self.freed > many && self.free.len() > many {
            self.sort_free();
        }
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, order: EMPTY, carried: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 4 billion timers")
        })
    }

    /// Sort the free slots. Slots are freed in any order, so in a large table each would be a cache miss when it is reused.
    #[cold]
    fn sort_free(&mut self) {
        let is_free = |index: &u32| self.slots[*index as usize].order == EMPTY;
        self.free.clear();
        // The last slot first, so that the first slot is reused first.
        self.free.extend((0..self.slots.len() as u32).rev().filter(is_free));
        self.freed = 0;
    }

    /// The first node of a timer that waits. Tombstones before it leave the heap.
    fn first(&mut self) -> Option<Node> {
        loop {
            let first = self.heap.first()?;
            // Without tombstones the slot, which may be a cache miss, is not read.
            if self.tombstones == 0 || self.slots[first.slot() as usize].holds(first) {
                return Some(first);
            }
            self.heap.pop();
            self.tombstones -= 1;
        }
    }

    /// Remove all tombstones from the heap. The timers that are due leave it in the same pass, and are collected.
    fn compact(&mut self, now: u64) {
        let left = self.due.len();
        self.heap.retain(|node| {
            let (waits, is_due) = (self.slots[node.slot() as usize].holds(node), node.deadline() <= now);
            if waits && is_due {
                self.due.push_back(node);
            }
            waits && !is_due
        });
        self.due.make_contiguous()[left..].sort_unstable();
        self.tombstones = 0;
    }

    /// Number the timers anew from 0, because 32 bits are used up. Without the tombstones: another timer may have the slot.
    #[cold]
    fn renumber(&mut self) {
        self.heap.retain(|node| self.slots[node.slot() as usize].holds(node));
        self.due.retain(|node| self.slots[node.slot() as usize].holds(*node));
        self.tombstones = 0;
        self.added = self.heap.renumber(|node| self.slots[node.slot() as usize].order = node.order());
        for node in &mut self.due {
            *node = Node::new(node.deadline(), self.added, node.slot());
            self.slots[node.slot() as usize].order = self.added;
            self.added += 1;
        }
    }
}

/// A time in nanoseconds. A time beyond 584 years, which 64 bits cannot hold, counts as 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
