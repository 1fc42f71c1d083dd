//! Between the clear version of timers and ours: each step changes one thing, so that it can be measured alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::measured::Measured;

/// Deadline, order, place.
pub type Fields = (u64, u32, u32);

/// The same in one number.
pub type Packed = u128;

/// The order of the timers: a heap of places, without callbacks.
pub trait Queue: Default {
    fn push(&mut self, node: Fields);
    /// The place of the first one.
    fn pop(&mut self) -> Option<usize>;
    fn retain(&mut self, lives: impl FnMut(usize) -> bool);
}

/// What is carried is in a table, and cancelling takes it out of there.
pub struct Places<Q, T> {
    queue: Q,
    places: Vec<Option<T>>,
}

impl<Q: Default, T> Default for Places<Q, T> {
    fn default() -> Self {
        Self { queue: Q::default(), places: Vec::new() }
    }
}

impl<Q: Queue, T: FnOnce()> Measured<T> for Places<Q, T> {
    type Id = usize;

    fn add(&mut self, deadline: u64, carried: T) -> usize {
        let place = self.places.len();
        self.places.push(Some(carried));
        self.queue.push((deadline, place as u32, place as u32));
        place
    }

    fn cancel(&mut self, timer: &usize) {
        drop(self.places[*timer].take());
    }

    fn run(&mut self) {
        self.queue.retain(|place| self.places[place].is_some());
        while let Some(place) = self.queue.pop() {
            if let Some(callback) = self.places[place].take() {
                callback();
            }
        }
    }
}

impl Queue for BinaryHeap<Reverse<Fields>> {
    fn push(&mut self, node: Fields) {
        self.push(Reverse(node));
    }

    fn pop(&mut self) -> Option<usize> {
        self.pop().map(|Reverse((.., place))| place as usize)
    }

    fn retain(&mut self, mut lives: impl FnMut(usize) -> bool) {
        self.retain(|Reverse((.., place))| lives(*place as usize));
    }
}

fn packed((deadline, order, place): Fields) -> Packed {
    u128::from(deadline) << 64 | u128::from(order) << 32 | u128::from(place)
}

fn place(node: Packed) -> usize {
    node as u32 as usize
}

impl Queue for BinaryHeap<Reverse<Packed>> {
    fn push(&mut self, node: Fields) {
        self.push(Reverse(packed(node)));
    }

    fn pop(&mut self) -> Option<usize> {
        self.pop().map(|Reverse(node)| place(node))
    }

    fn retain(&mut self, mut lives: impl FnMut(usize) -> bool) {
        self.retain(|Reverse(node)| lives(place(*node)));
    }
}

/// One with so many children to a node. `PAIRS`: which of four is first is found in pairs.
#[derive(Default)]
pub struct Heap<const ARITY: usize, const PAIRS: bool>(Vec<Packed>);

impl<const ARITY: usize, const PAIRS: bool> Heap<ARITY, PAIRS> {
    fn sink(&mut self, mut at: usize) {
        let Some(node) = self.0.get(at).copied() else { return };
        while let Some(child) = self.first_child(at).filter(|child| self.0[*child] < node) {
            self.0[at] = self.0[child];
            at = child;
        }
        self.0[at] = node;
    }

    fn first_child(&self, at: usize) -> Option<usize> {
        let begin = at * ARITY + 1;
        let children = self.0.get(begin..)?;
        let first = match children {
            [a, b, c, d, ..] if PAIRS => {
                let (left, right) = (usize::from(b < a), 2 + usize::from(d < c));
                if children[right] < children[left] { right } else { left }
            }
            _ => (0..children.len().min(ARITY)).min_by_key(|child| children[*child])?,
        };
        Some(begin + first)
    }
}

impl<const ARITY: usize, const PAIRS: bool> Queue for Heap<ARITY, PAIRS> {
    fn push(&mut self, node: Fields) {
        let (node, mut at) = (packed(node), self.0.len());
        self.0.push(node);
        while at > 0 && node < self.0[(at - 1) / ARITY] {
            self.0[at] = self.0[(at - 1) / ARITY];
            at = (at - 1) / ARITY;
        }
        self.0[at] = node;
    }

    fn pop(&mut self) -> Option<usize> {
        let first = self.0.first().map(|node| place(*node))?;
        self.0.swap_remove(0);
        self.sink(0);
        Some(first)
    }

    fn retain(&mut self, mut lives: impl FnMut(usize) -> bool) {
        self.0.retain(|node| lives(place(*node)));
        (0..self.0.len().div_ceil(ARITY)).rev().for_each(|at| self.sink(at));
    }
}
