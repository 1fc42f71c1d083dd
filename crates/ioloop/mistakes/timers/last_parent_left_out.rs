//! Mistake: after a sweep the last node that has children is not put below them.
//! Caught by: however_many_are_left_by_a_sweep_they_are_a_heap
//! Message: each node that has a child, the last one too

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
        self.rise(Node::new(deadline, self.order, index));
        self.order += 1;
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
        self.first().map(|node| Duration::from_nanos(node.deadline()))
    }

    /// Sweep if there are many marks, and put whoever is due now into `due`, by deadline. They are run with
    /// [`Timers::take`].
    pub fn collect(&mut self, now: Duration, due: &mut Vec<TimerId>) {
        // First: if they are due too, they would leave the heap one by one.
        if self.cancelled > FEW && self.cancelled > self.heap.len() / 2 {
            self.sweep();
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        while let Some(first) = self.first().filter(|first| first.deadline() <= now) {
            self.pop();
            let slot = &mut self.slots[first.slot() as usize];
            slot.in_heap = false;
            due.push(TimerId { index: first.slot(), generation: slot.generation });
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

    /// The first node, once those are out whose timers were cancelled.
    fn first(&mut self) -> Option<Node> {
        loop {
            let first = *self.heap.first()?;
            if self.slots[first.slot() as usize].carried.is_some() {
                return Some(first);
            }
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
        (0..self.heap.len() / ARITY).rev().for_each(|place| self.sink(place));
    }

    /// After 4 thousand million timers: those that wait keep their order, and begin at 0 again.
    fn number_anew(&mut self) {
        // What is sorted is a heap.
        self.heap.sort_unstable();
        let renumber =
            |(order, node): (u32, &mut Node)| *node = Node::new(node.deadline(), order, node.slot());
        (0..).zip(&mut self.heap).for_each(renumber);
        self.order = self.heap.len() as u32;
    }

    /// Take out the first node.
    fn pop(&mut self) {
        self.heap.swap_remove(0);
        self.sink(0);
    }

    /// Move a node up from the end until its parent is before it. It is written once, where it comes to rest.
    fn rise(&mut self, node: Node) {
        let mut place = self.heap.len();
        self.heap.push(node);
        while place > 0 && node < self.heap[(place - 1) / ARITY] {
            self.heap[place] = self.heap[(place - 1) / ARITY];
            place = (place - 1) / ARITY;
        }
        self.heap[place] = node;
    }

    /// Move a node down until it is before all of its children.
    fn sink(&mut self, mut place: usize) {
        let Some(node) = self.heap.get(place).copied() else { return };
        while let Some(child) = self.first_child(place).filter(|child| self.heap[*child] < node) {
            self.heap[place] = self.heap[child];
            place = child;
        }
        self.heap[place] = node;
    }

    /// Which of its children comes first.
    fn first_child(&self, place: usize) -> Option<usize> {
        let begin = place * ARITY + 1;
        let children = self.heap.get(begin..)?;
        let first = match children {
            // In pairs, and as numbers: no comparison waits for the one before, and there is no branch to guess.
            [a, b, c, d, ..] => {
                let (left, right) = (usize::from(b < a), 2 + usize::from(d < c));
                if children[right] < children[left] { right } else { left }
            }
            _ => (0..children.len()).min_by_key(|child| children[*child])?,
        };
        Some(begin + first)
    }
}
