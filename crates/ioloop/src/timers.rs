//! Timers: a heap of deadlines, first come first served among equals, and cheap to cancel.
//!
//! Contract: no timer is due before its deadline. Due timers are collected first and handed out one at a time, so a timer
//! that starts itself again waits for the next pass, and a collected timer can still be canceled. Canceling leaves a
//! tombstone in the heap. The heap is compacted when it has more than 512 tombstones and they are more than half of it,
//! so it takes at most twice the room of the timers that wait.

use std::collections::VecDeque;
use std::time::Duration;

use crate::heap::{Heap, Node};

/// Up to this many tombstones stay, whatever the heap holds.
const FEW: usize = 512;

/// Which timer: a slot, and how many timers had the slot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Timers that each carry something.
// ANCHOR: timers
#[derive(Debug)]
pub struct Timers<T> {
    /// A node for each timer that waits, and a tombstone for each that was canceled since the last compaction.
    heap: Heap,
    slots: Vec<Slot<T>>,
    /// Empty slots.
    free: Vec<u32>,
    /// Collected, and not handed out yet.
    due: VecDeque<TimerId>,
    tombstones: usize,
    /// How many were added: the order among equal deadlines.
    added: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many timers had this slot and are gone.
    generation: u32,
    /// Nothing once it was canceled or handed out.
    carried: Option<T>,
    /// Does a node in the heap lead here? Then no other timer may have the slot yet.
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

    /// Cancel a timer. Returns what it carried; nothing if it was handed out or canceled before.
    // ANCHOR: cancel
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let slot = self.slot(timer)?;
        let carried = slot.carried.take()?;
        if slot.in_heap {
            // The node stays in the heap and leads to this slot, so the slot stays taken.
            self.tombstones += 1;
        } else {
            // Collected: no node leads here anymore.
            self.vacate(timer.index);
        }
        Some(carried)
    }
    // ANCHOR_END: cancel

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        self.first().map(|node| Duration::from_nanos(node.deadline()))
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, by deadline. `now` is
    /// asked only if there is a timer: reading the clock is not free.
    // ANCHOR: collect
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.heap.is_empty() {
            return;
        }
        // First: tombstones that are due would leave the heap one by one.
        if self.tombstones > FEW && self.tombstones > self.heap.len() / 2 {
            self.compact();
        }
        // A pass that a panic ended left some: those that were canceled since go.
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

    /// What the next collected timer carries. A timer that was canceled after it was collected is left out.
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

    /// How many nodes the heap has, tombstones included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Has the heap no node?
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The timer's slot, unless another timer has it by now.
    fn slot(&mut self, timer: TimerId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(timer.index as usize).filter(|slot| slot.generation == timer.generation)
    }

    /// Free a slot. From now on the id of the timer that had it leads nowhere.
    fn vacate(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.in_heap = false;
        self.free.push(index);
    }

    /// The first node that is no tombstone. The tombstones before it leave the heap.
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

    /// Take all tombstones out of the heap, and free their slots.
    // ANCHOR: compact
    fn compact(&mut self) {
        // Freed in the order of the heap, which is none, each slot would be a cache miss when it is used again. But the slots
        // are not all looked through for few.
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
            // The last slot first: the first slot is used again first.
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

/// A deadline beyond 584 years is as good as one there.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
