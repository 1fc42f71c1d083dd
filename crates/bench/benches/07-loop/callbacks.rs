//! Callbacks that do nothing, queued and run: a million of them in one iteration.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use bench::compare;
use ioloop::IoLoop;

const CALLBACKS: u64 = 1_000_000;

type Callback = Box<dyn FnOnce(&IoLoop)>;

pub fn all() {
    let ioloop = IoLoop::new().expect("a loop");
    let mut queue: VecDeque<Callback> = VecDeque::new();
    compare(
        "a million callbacks that do nothing: the loop beside a VecDeque of boxes",
        || {
            (0..CALLBACKS).for_each(|_| queue.push_back(Box::new(|_| ())));
            run_all(&mut queue, &ioloop);
        },
        || {
            (0..CALLBACKS).for_each(|_| ioloop.add_callback(|_| ()));
            ioloop.add_callback(IoLoop::stop);
            ioloop.start().expect("it runs");
        },
    );
    // A closure that holds nothing takes no room, and no box is allocated for it. Most hold something.
    let sum = Rc::new(Cell::new(0));
    let counted = |n: u64| {
        let sum = Rc::clone(&sum);
        move |_: &IoLoop| sum.set(sum.get() + n)
    };
    compare(
        "a million callbacks that hold two words: the loop beside a VecDeque of boxes",
        || {
            (0..CALLBACKS).for_each(|n| queue.push_back(Box::new(counted(n))));
            run_all(&mut queue, &ioloop);
        },
        || {
            (0..CALLBACKS).for_each(|n| ioloop.add_callback(counted(n)));
            ioloop.add_callback(IoLoop::stop);
            ioloop.start().expect("it runs");
        },
    );
}

fn run_all(queue: &mut VecDeque<Callback>, ioloop: &IoLoop) {
    while let Some(callback) = queue.pop_front() {
        callback(ioloop);
    }
}
