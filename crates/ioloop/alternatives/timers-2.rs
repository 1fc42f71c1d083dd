//! Another way for `ioloop/timers`: a sorted map in place of a heap, and a queue of batches.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A slot of `slots`, and how often that slot was given out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    slot: u32,
    nth: u64,
}

#[derive(Debug)]
struct Slot<T> {
    nth: u64,
    carried: Option<T>,
    in_heap: bool,
}

/// Timers that each carry a value.
#[derive(Debug)]
pub struct Timers<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    nodes: BTreeMap<(u64, u64), TimerId>,
    batches: VecDeque<VecDeque<TimerId>>,
    added: u64,
    tombstones: usize,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            nodes: BTreeMap::new(),
            batches: VecDeque::new(),
            added: 0,
            tombstones: 0,
        }
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl<T> Timers<T> {
    fn alive(&self, id: TimerId) -> bool {
        let slot = &self.slots[id.slot as usize];
        slot.nth == id.nth && slot.carried.is_some()
    }

    /// Start a timer that is due at `deadline`.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { nth: 0, carried: None, in_heap: false });
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.nth += 1;
        entry.carried = Some(carried);
        entry.in_heap = true;
        let id = TimerId { slot, nth: entry.nth };
        self.added += 1;
        self.nodes.insert((nanos(deadline), self.added), id);
        id
    }

    /// Cancel a timer, and return what it carried.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        let slot = self.slots.get_mut(timer.slot as usize)?;
        if slot.nth != timer.nth {
            return None;
        }
        let carried = slot.carried.take()?;
        self.free.push(timer.slot);
        if slot.in_heap {
            self.tombstones += 1;
        } else {
            // Let the queue forget those canceled at its end.
            let (slots, batches) = (&self.slots, &mut self.batches);
            for batch in batches.iter_mut() {
                while batch.back().is_some_and(|id| {
                    let s = &slots[id.slot as usize];
                    s.nth != id.nth || s.carried.is_none()
                }) {
                    batch.pop_back();
                }
                while batch.front().is_some_and(|id| {
                    let s = &slots[id.slot as usize];
                    s.nth != id.nth || s.carried.is_none()
                }) {
                    batch.pop_front();
                }
            }
        }
        Some(carried)
    }

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        while let Some(first) = self.nodes.first_entry() {
            let id = *first.get();
            let slot = &self.slots[id.slot as usize];
            if slot.nth == id.nth && slot.carried.is_some() {
                return Some(Duration::from_nanos(first.key().0));
            }
            first.remove();
            self.tombstones -= 1;
        }
        None
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, in the order of their.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        self.batches.retain(|batch| !batch.is_empty());
        if self.tombstones > 512 && self.tombstones > self.nodes.len() - self.tombstones {
            let mut nodes = std::mem::take(&mut self.nodes);
            nodes.retain(|_, id| self.alive(*id));
            self.nodes = nodes;
            self.tombstones = 0;
        }
        if self.nodes.is_empty() {
            return;
        }
        let now = nanos(now());
        let later = if now == u64::MAX { BTreeMap::new() } else { self.nodes.split_off(&(now + 1, 0)) };
        let due = std::mem::replace(&mut self.nodes, later);
        let mut batch = VecDeque::new();
        for id in due.into_values() {
            if self.alive(id) {
                self.slots[id.slot as usize].in_heap = false;
                batch.push_back(id);
            } else {
                self.tombstones -= 1;
            }
        }
        self.batches.push_back(batch);
    }

    /// Hand out the value of the next collected timer.
    pub fn next_due(&mut self) -> Option<T> {
        loop {
            let batch = self.batches.front_mut()?;
            let Some(id) = batch.pop_front() else {
                self.batches.pop_front();
                continue;
            };
            if self.alive(id) {
                self.free.push(id.slot);
                return self.slots[id.slot as usize].carried.take();
            }
        }
    }

    /// Given. Were all timers with this deadline handed out or canceled? It saves a look at a slot, and `false` is never wrong.
    pub fn is_past(&self, _deadline: Duration) -> bool {
        false
    }

    /// How many nodes the heap has, including tombstones.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Is the heap empty? A heap of tombstones is not.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
