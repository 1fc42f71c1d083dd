//! Mistake: a single mark is enough for a sweep.
//! Caught by: a_few_that_are_cancelled_stay
//! Message: sweeping them out costs more than it gives

use std::time::Duration;

/// More marks than this, and more than half of the heap: then they are swept out.
const FEW: usize = 512;

/// Children of a node.
const ARITY: usize = 4;

/// Which timer: a place, and which of those who had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// Timers that each carry something.
#[derive(Debug)]
pub struct Timers<T> {
    heap: Vec<Node>,
    slots: Vec<Slot<T>>,
    /// Places in `slots` that nobody has.
    free: Vec<u32>,
    /// Nodes in the heap whose timer was cancelled.
    cancelled: usize,
    /// The order of the next one that is added.
    order: u32,
}

/// One number, so that comparing two is one comparison: the deadline in nanoseconds (64 bits); among equals, the
/// order in which they came (32); and the place in `slots` (32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node(u128);

impl Node {
    fn new(deadline: u64, order: u32, slot: u32) -> Self {
        Self(u128::from(deadline) << 64 | u128::from(order) << 32 | u128::from(slot))
    }

    fn deadline(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn slot(self) -> u32 {
        self.0 as u32
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// Nothing once it was cancelled or taken.
    carried: Option<T>,
    /// Is there a node for it in the heap?
    in_heap: bool,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: Vec::new(), slots: Vec::new(), free: Vec::new(), cancelled: 0, order: 0 }
    }
}

impl<T> Timers<T> {
    /// Have a timer due at that time.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, carried: None, in_heap: false });
            u32::try_from(self.slots.len() - 1).expect("fewer timers than 4 thousand million")
        });
        let slot = &mut self.slots[index as usize];
        slot.carried = Some(carried);
        slot.in_heap = true;
        let generation = slot.generation;
        // A deadline beyond 584 years is as good as one there.
        let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        if self.order == u32::MAX {
            self.number_anew();
        }
        self.heap.push(Node::new(deadline, self.order, index));
        self.order += 1;
        self.rise(self.heap.len() - 1);
        TimerId { index, generation }
    }

    /// Have it not run. What it carried, if it had yet to run; nothing if it ran or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let slot = self.slot(timer)?;
        let carried = slot.carried.take()?;
        if slot.in_heap {
            // Its node is somewhere in the heap and leads to this place, so nobody else may have the place yet.
            self.cancelled += 1;
        } else {
            // It was due and is being run: nobody comes by its place any more.
            self.vacate(timer.index);
        }
        Some(carried)
    }

    /// The nearest deadline of a timer that was not cancelled.
    pub fn nearest(&mut self) -> Option<Duration> {
        self.drop_cancelled();
        self.heap.first().map(|node| Duration::from_nanos(node.deadline()))
    }

    /// Put whoever is due now into `due`, by deadline, and sweep if there are many marks. They are run with
    /// [`Timers::take`].
    pub fn collect(&mut self, now: Duration, due: &mut Vec<TimerId>) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        loop {
            self.drop_cancelled();
            let Some(first) = self.heap.first().filter(|first| first.deadline() <= now).copied() else {
                break;
            };
            self.pop();
            let slot = &mut self.slots[first.slot() as usize];
            slot.in_heap = false;
            due.push(TimerId { index: first.slot(), generation: slot.generation });
        }
        if self.cancelled > 0 && self.cancelled > self.heap.len() / 2 {
            self.sweep();
        }
    }

    /// What a timer that was collected carries; nothing if it was cancelled since, or was not collected.
    pub fn take(&mut self, timer: TimerId) -> Option<T> {
        // One that waits keeps its place: its node still leads there.
        let slot = self.slot(timer).filter(|slot| !slot.in_heap)?;
        let carried = slot.carried.take()?;
        self.vacate(timer.index);
        Some(carried)
    }

    /// How many nodes the heap has, cancelled ones among them.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is there no node at all?
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Its place, unless that is somebody else's by now.
    fn slot(&mut self, timer: TimerId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(timer.index as usize).filter(|slot| slot.generation == timer.generation)
    }

    /// Whoever had the place is gone for good: its id leads nowhere from now on.
    fn vacate(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.in_heap = false;
        self.free.push(index);
    }

    /// Have the first node be one whose timer lives.
    fn drop_cancelled(&mut self) {
        while let Some(first) = self.heap.first().copied()
            && self.slots[first.slot() as usize].carried.is_none()
        {
            self.pop();
            self.cancelled -= 1;
            self.vacate(first.slot());
        }
    }

    /// Take all the marks out, and make a heap of the rest.
    fn sweep(&mut self) {
        let mut heap = std::mem::take(&mut self.heap);
        heap.retain(|node| {
            let lives = self.slots[node.slot() as usize].carried.is_some();
            if !lives {
                self.vacate(node.slot());
            }
            lives
        });
        self.heap = heap;
        self.cancelled = 0;
        // From the last node that has a child upwards, each is put right below itself.
        for place in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sink(place);
        }
    }

    /// After 4 thousand million timers: those that wait keep their order, and begin at 0 again.
    fn number_anew(&mut self) {
        // What is sorted is a heap.
        self.heap.sort_unstable();
        for (order, node) in (0..).zip(&mut self.heap) {
            *node = Node::new(node.deadline(), order, node.slot());
        }
        self.order = self.heap.len() as u32;
    }

    /// Take out the first node.
    fn pop(&mut self) {
        self.heap.swap_remove(0);
        self.sink(0);
    }

    /// Move a node up until its parent is before it. It is written once, where it comes to rest.
    fn rise(&mut self, mut place: usize) {
        let Some(node) = self.heap.get(place).copied() else { return };
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent] <= node {
                break;
            }
            self.heap[place] = self.heap[parent];
            place = parent;
        }
        self.heap[place] = node;
    }

    /// Move a node down until it is before all of its children.
    fn sink(&mut self, mut place: usize) {
        let Some(node) = self.heap.get(place).copied() else { return };
        loop {
            let first = place * ARITY + 1;
            let children = self.heap.get(first..(first + ARITY).min(self.heap.len())).unwrap_or_default();
            let least = children.iter().enumerate().min_by_key(|(_, child)| **child);
            let Some((which, least)) = least.filter(|(_, least)| **least < node) else { break };
            self.heap[place] = *least;
            place = first + which;
        }
        self.heap[place] = node;
    }
}
