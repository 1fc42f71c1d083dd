//! A million callbacks in one iteration, beside a VecDeque of boxes: five runs, and the range of what they came to, since
//! this ratio moves from one run to the next.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bench::{Clock, Turns, in_turns, time};
use ioloop::IoLoop;

use crate::table::Row;

const CALLBACKS: u64 = 1_000_000;

const RUNS: usize = 5;

type Callback = Box<dyn FnOnce(&IoLoop)>;

pub fn rows() -> Vec<Row> {
    let sum = Rc::new(Cell::new(0));
    let counted = |n| {
        let sum = Rc::clone(&sum);
        move |_: &IoLoop| sum.set(sum.get() + n)
    };
    vec![row("that hold nothing", |_| |_: &IoLoop| ()), row("that hold two words", counted)]
}

fn row<F: FnOnce(&IoLoop) + 'static>(which: &str, callback: impl Fn(u64) -> F) -> Row {
    let mut runs: Vec<Turns> = (0..RUNS).map(|_| run(&callback)).collect();
    runs.sort_by(|one, other| one.ratio[1].total_cmp(&other.ratio[1]));
    let [least, middle, most] = [0, RUNS / 2, RUNS - 1].map(|run| runs[run].ratio[1]);
    Row {
        name: format!("a million callbacks {which}, beside a VecDeque of boxes: range of {RUNS} runs"),
        ours: time(runs[RUNS / 2].ours[1]),
        peer: time(runs[RUNS / 2].bare[1]),
        ratio: Some([least, middle, most]),
        limit: "at most 1.00".to_owned(),
        held: most <= 1.0,
    }
}

fn run<F: FnOnce(&IoLoop) + 'static>(callback: &impl Fn(u64) -> F) -> Turns {
    let ioloop = IoLoop::new().expect("a loop");
    let mut queue: VecDeque<Callback> = VecDeque::new();
    in_turns(
        Clock::Thread,
        Duration::from_secs(2),
        || {
            (0..CALLBACKS).for_each(|n| queue.push_back(Box::new(callback(n))));
            while let Some(callback) = queue.pop_front() {
                callback(&ioloop);
            }
        },
        || {
            (0..CALLBACKS).for_each(|n| ioloop.add_callback(callback(n)));
            ioloop.add_callback(IoLoop::stop);
            ioloop.start().expect("it runs");
        },
    )
}
