//! The heap of the timers: the nearest node comes first, after any operations.

use ioloop::heap::{Heap, Node};

/// Numbers in no order, the same in each run.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// A heap of this many nodes, and the same nodes in a vector.
fn filled(count: u32) -> (Heap, Vec<Node>) {
    let (mut heap, mut seed) = (Heap::default(), u64::from(count));
    let nodes: Vec<_> = (0..count).map(|n| Node::new(random(&mut seed, 100), n, n)).collect();
    nodes.iter().for_each(|node| heap.push(*node));
    (heap, nodes)
}

fn emptied(heap: &mut Heap) -> Vec<Node> {
    std::iter::from_fn(|| heap.pop()).collect()
}

#[test]
fn a_node_returns_its_parts() {
    let node = Node::new(u64::MAX - 1, u32::MAX - 2, u32::MAX - 3);
    assert_eq!((node.deadline(), node.slot()), (u64::MAX - 1, u32::MAX - 3));
    assert!(Node::new(1, 9, 9) < Node::new(2, 0, 0), "the deadline counts first");
    assert!(Node::new(1, 1, 9) < Node::new(1, 2, 0), "and then the order");
}

#[test]
fn any_number_of_nodes_come_out_in_order() {
    for count in 0..200 {
        let (mut heap, mut nodes) = filled(count);
        nodes.sort_unstable();
        assert_eq!(heap.len(), nodes.len());
        assert_eq!(heap.first(), nodes.first().copied());
        assert_eq!(emptied(&mut heap), nodes, "of {count} nodes");
        assert!(heap.is_empty());
    }
}

#[test]
fn retain_leaves_a_heap_for_any_number_of_nodes() {
    for count in 0..200 {
        for every in [1, 2, 3, 7] {
            let (mut heap, mut nodes) = filled(count);
            let mut asked = 0;
            heap.retain(|node| {
                asked += 1;
                node.slot() % every == 0
            });
            assert_eq!(asked, count, "each node is checked once");
            nodes.retain(|node| node.slot() % every == 0);
            nodes.sort_unstable();
            assert_eq!(emptied(&mut heap), nodes, "of {count} nodes one in {every} was kept");
        }
    }
}

#[test]
fn renumbering_keeps_the_order() {
    for count in 0..200 {
        let (mut heap, mut nodes) = filled(count);
        let next = heap.renumber(|_| ());
        assert_eq!(next, count, "the next order comes after all of them");
        heap.push(Node::new(50, next, count));
        // After all that have the same deadline.
        nodes.push(Node::new(50, u32::MAX, count));
        nodes.sort_unstable();
        let slots: Vec<_> = nodes.iter().map(|node| node.slot()).collect();
        let out: Vec<_> = emptied(&mut heap).iter().map(|node| node.slot()).collect();
        assert_eq!(out, slots, "of {count} nodes");
    }
}
