//! Another way for `ioloop/timers`: std's heap of serial numbers that are never used again, and a map of what they stand for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

/// A serial number, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(u64);

#[derive(Debug)]
enum State<T> {
    Waits(T),
    Collected(u64),
}

/// Timers that each carry a value.
#[derive(Debug)]
pub struct Timers<T> {
    states: HashMap<u64, State<T>>,
    heap: BinaryHeap<Reverse<(Duration, u64)>>,
    queue: BTreeMap<u64, (u64, T)>,
    place: u64,
    added: u64,
    tombstones: usize,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            states: HashMap::new(),
            heap: BinaryHeap::new(),
            queue: BTreeMap::new(),
            place: 0,
            added: 0,
            tombstones: 0,
        }
    }
}

impl<T> Timers<T> {
    /// Start a timer that is due at `deadline`.
    pub fn add(&mut self, deadline: Duration, carried: T) -> TimerId {
        self.added += 1;
        self.states.insert(self.added, State::Waits(carried));
        self.heap.push(Reverse((deadline, self.added)));
        TimerId(self.added)
    }

    /// Cancel a timer, and return what it carried.
    pub fn cancel(&mut self, timer: TimerId) -> Option<T> {
        match self.states.remove(&timer.0)? {
            State::Waits(carried) => {
                self.tombstones += 1;
                Some(carried)
            }
            State::Collected(place) => self.queue.remove(&place).map(|(_, carried)| carried),
        }
    }

    /// The nearest deadline of the timers that wait.
    pub fn nearest(&mut self) -> Option<Duration> {
        loop {
            let Reverse((deadline, id)) = *self.heap.peek()?;
            if self.states.contains_key(&id) {
                return Some(deadline);
            }
            self.heap.pop();
            self.tombstones -= 1;
        }
    }

    /// Compact the heap if it has many tombstones, and collect the timers that are due at `now`, in the order of their.
    pub fn collect(&mut self, now: impl FnOnce() -> Duration) {
        if self.tombstones > 512 && 2 * self.tombstones > self.heap.len() {
            let all = std::mem::take(&mut self.heap).into_vec();
            self.heap = all.into_iter().filter(|Reverse((_, id))| self.states.contains_key(id)).collect();
            self.tombstones = 0;
        }
        if self.heap.is_empty() {
            return;
        }
        let now = now();
        while let Some(Reverse((deadline, id))) = self.heap.peek().copied() {
            // A tombstone that is not due yet stays, too.
            if deadline > now {
                return;
            }
            self.heap.pop();
            if let Some(state) = self.states.get_mut(&id) {
                if let State::Waits(carried) = std::mem::replace(state, State::Collected(self.place)) {
                    self.queue.insert(self.place, (id, carried));
                    self.place += 1;
                }
            } else {
                self.tombstones -= 1;
            }
        }
    }

    /// Hand out the value of the next collected timer.
    pub fn next_due(&mut self) -> Option<T> {
        let (_, (id, carried)) = self.queue.pop_first()?;
        self.states.remove(&id);
        Some(carried)
    }

    /// Given. Were all timers with this deadline handed out or canceled? It saves a look at a slot, and `false` is never wrong.
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
