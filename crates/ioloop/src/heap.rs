//! A heap of deadlines: four children to a node, and a node is one number.
//!
//! Contract: the first node is the one with the nearest deadline, and among equal deadlines the one with the lowest order.
//! The heap knows slots and not what is in them, so it moves 16 bytes a step: four nodes fill a cache line.
//!
//! std's `BinaryHeap` does the same with two children to a node. What the difference brings is measured in the book, on the
//! page "Clear, or fast".

/// Children of a node.
const ARITY: usize = 4;

/// One number, so that one comparison compares all of it: the deadline in nanoseconds (64 bits), then the order in which
/// the timers were added (32), and the slot of the timer (32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(u128);

impl Node {
    /// A node for the timer in that slot.
    pub fn new(deadline: u64, order: u32, slot: u32) -> Self {
        Self(u128::from(deadline) << 64 | u128::from(order) << 32 | u128::from(slot))
    }

    /// In nanoseconds.
    pub fn deadline(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Where the timer is.
    pub fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// Nodes, the first one on top.
#[derive(Debug, Default)]
pub struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Is there no node?
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node that comes before all others.
    pub fn first(&self) -> Option<Node> {
        self.nodes.first().copied()
    }

    /// Add a node: from the end it moves up until its parent is before it. It is written once, where it comes to rest.
    pub fn push(&mut self, node: Node) {
        let mut place = self.nodes.len();
        self.nodes.push(node);
        while place > 0 && node < self.nodes[(place - 1) / ARITY] {
            self.nodes[place] = self.nodes[(place - 1) / ARITY];
            place = (place - 1) / ARITY;
        }
        self.nodes[place] = node;
    }

    /// Take the first node out.
    pub fn pop(&mut self) -> Option<Node> {
        let first = self.first()?;
        self.nodes.swap_remove(0);
        self.sink(0);
        Some(first)
    }

    /// Keep the nodes that `keep` says yes to. It is called once for each node, in no order.
    pub fn retain(&mut self, mut keep: impl FnMut(Node) -> bool) {
        self.nodes.retain(|node| keep(*node));
        // From the last node that has a child to the first: each sinks below what comes before it.
        (0..self.nodes.len().div_ceil(ARITY)).rev().for_each(|place| self.sink(place));
    }

    /// Give the nodes the orders from 0 on, and change nothing in who comes before whom. Returns the next order. For when
    /// 32 bits of orders are used up.
    pub fn renumber(&mut self) -> u32 {
        // What is sorted is a heap.
        self.nodes.sort_unstable();
        for (order, node) in (0..).zip(&mut self.nodes) {
            *node = Node::new(node.deadline(), order, node.slot());
        }
        self.nodes.len() as u32
    }

    /// Move a node down until it is before all of its children.
    fn sink(&mut self, mut place: usize) {
        let Some(node) = self.nodes.get(place).copied() else { return };
        while let Some(child) = self.first_child(place).filter(|child| self.nodes[*child] < node) {
            self.nodes[place] = self.nodes[child];
            place = child;
        }
        self.nodes[place] = node;
    }

    /// Which of its children comes first.
    // ANCHOR: first_child
    fn first_child(&self, place: usize) -> Option<usize> {
        let begin = place * ARITY + 1;
        let children = self.nodes.get(begin..)?;
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
    // ANCHOR_END: first_child
}
