//! Timers: a heap of deadlines, in which canceling leaves a tombstone.
//!
//! Contract: no timer is due before its deadline, and timers with equal deadlines are due in the order in which they were
//! added. Due timers are collected first and handed out one at a time, so a timer that starts itself again waits for the
//! next pass, and a collected timer can still be canceled. Canceling searches nothing. A pass compacts a heap in which
//! more than 512 nodes, and more than half of all, are tombstones, so after a pass the heap takes at most twice the room
//! of the timers that wait, and 512 nodes more.

use std::collections::VecDeque;
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
    /// Collected timers that were not handed out yet. Some may be canceled.
    due: VecDeque<TimerId>,
    tombstones: usize,
    /// How many timers were added: the order among equal deadlines.
    added: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many timers had this slot before.
    generation: u32,
    /// `None` after the timer was canceled or handed out.
    carried: Option<T>,
    /// Does a node in the heap have this slot? Then no other timer may get the slot yet.
    in_heap: bool,
}
// ANCHOR_END: timers

impl<T> Default for Timers<T> {
    fn default() -> Self {
        let (heap, due) = (Heap::default(), VecDeque::new());
        Self { heap, slots: Vec::new(), free: Vec::new(), due, tombstones: 0, added: 0 }
    }
}

impl<T> Timers<T> {
    /// Start a timer that is due at `deadline`.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, carried: None, in_heap: false });
            u32::try_from(self.slots.len() - 1).expect("fewer than 4 billion timers")
        });
        let slot = &mut self.slots[index as usize];
        slot.carried = Some(carried);
        slot.in_heap = true;
        let generation = slot.generation;
        if self.added == u32::MAX {
            self.added = self.heap.renumber();
        }
        self.heap.push(Node::new(nanoseconds(deadline), self.added, index));
        self.added += 1;
        TimerId { index, generation }
    }

    /// Cancel a timer, and return what it carried. `None` if the timer was handed out or canceled before.
    // ANCHOR: cancel
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let slot = self.slot(timer)?;
        let carried = slot.carried.take()?;
        if slot.in_heap {
            // The node stays in the heap as a tombstone with this slot, so the slot stays taken.
            self.tombstones += 1;
        } else {
            // The timer was collected, so no node has this slot anymore.
            self.vacate(timer.index);
        }
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
    // ANCHOR: collect
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.heap.is_empty() {
            return;
        }
        // First, because tombstones that are due would leave the heap one by one.
        if self.tombstones > FEW && self.tombstones > self.heap.len() / 2 {
            self.compact();
        }
        // A panic may have ended the last pass and left ids here. Drop the ids of timers that were canceled since.
        self.due.retain(|timer| self.slots[timer.index as usize].generation == timer.generation);
        let now = nanoseconds(now());
        while let Some(first) = self.first().filter(|first| first.deadline() <= now) {
            self.heap.pop();
            let slot = &mut self.slots[first.slot() as usize];
            slot.in_heap = false;
            self.due.push_back(TimerId { index: first.slot(), generation: slot.generation });
        }
    }
    // ANCHOR_END: collect

    /// Hand out the value of the next collected timer. Skips a timer that was canceled after it was collected.
    // ANCHOR: next_due
    pub fn next_due(&mut self) -> Option<T> {
        loop {
            let timer = self.due.pop_front()?;
            if let Some(carried) = self.slot(timer).and_then(|slot| slot.carried.take()) {
                self.vacate(timer.index);
                return Some(carried);
            }
        }
    }
    // ANCHOR_END: next_due

    /// How many nodes the heap has, including tombstones.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is the heap empty? A heap of tombstones is not.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The slot of a timer, unless another timer has it by now.
    fn slot(&mut self, timer: TimerId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(timer.index as usize).filter(|slot| slot.generation == timer.generation)
    }

    /// Free a slot. The id of the timer that had it leads nowhere from now on.
    fn vacate(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.in_heap = false;
        self.free.push(index);
    }

    /// The first node of a timer that waits. Tombstones before it leave the heap.
    fn first(&mut self) -> Option<Node> {
        loop {
            let first = self.heap.first()?;
            if self.slots[first.slot() as usize].carried.is_some() {
                return Some(first);
            }
            self.heap.pop();
            self.tombstones -= 1;
            self.vacate(first.slot());
        }
    }

    /// Remove all tombstones from the heap, and free their slots.
    // ANCHOR: compact
    fn compact(&mut self) {
        // In the order of their nodes, the freed slots would be scattered, and each would be a cache miss when it is
        // reused. In the order of the slots they are not, but that takes a pass over all slots, so it must free many.
        let in_order = self.tombstones > self.slots.len() / 8;
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|node| {
            let waits = self.slots[node.slot() as usize].carried.is_some();
            if !waits && !in_order {
                self.vacate(node.slot());
            }
            waits
        });
        self.heap = heap;
        if in_order {
            // The last slot first, so that the first slot is reused first.
            for index in (0..self.slots.len()).rev() {
                if self.slots[index].in_heap && self.slots[index].carried.is_none() {
                    self.vacate(index as u32);
                }
            }
        }
        self.tombstones = 0;
    }
    // ANCHOR_END: compact
}

/// A time in nanoseconds. A time beyond 584 years, which 64 bits cannot hold, counts as 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
