//! 100,000 timers added, nine of ten canceled, the rest run: the clear version, what each step away from it brings,
//! and ours.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use bench::compare;
use ioloop::timers::{TimerId, Timers};
use ioloop::{Clock, Config, FakeClock, IoLoop};

use crate::clear::{self, Callback, Clear};
use crate::heaps::{Fields, Heap, Packed, Places};
use crate::measured::Measured;
use crate::on_slab::{TimerId as OnSlabId, Timers as OnSlab};

const TIMERS: u64 = 100_000;

pub fn all() {
    let boxed = |sum: &Rc<Cell<u64>>, n| -> Callback { Box::new(in_place(sum, n)) };
    let beside = |what: &str, step: &dyn Fn()| {
        compare(&format!("timers, {what}, beside the clear version"), || work::<_, Clear>(boxed), step);
    };
    beside("callbacks in a table", &|| work::<_, Places<BinaryHeap<Reverse<Fields>>, _>>(boxed));
    beside("and nodes packed", &|| work::<_, Places<BinaryHeap<Reverse<Packed>>, _>>(boxed));
    beside("and four children", &|| work::<_, Places<Heap<4, false>, _>>(boxed));
    beside("and compared in pairs", &|| work::<_, Places<Heap<4, true>, _>>(boxed));
    beside("and two children again", &|| work::<_, Places<Heap<2, false>, _>>(boxed));
    beside("std's heap on the loop's slab", &|| work::<_, OnSlab<_>>(boxed));
    beside("the loop's own", &|| work::<_, Timers<_>>(boxed));
    beside("the loop's own, closures in place", &|| work::<_, Timers<_>>(in_place));
    beside("set and run on a loop", &on_a_loop);
}

fn in_place(sum: &Rc<Cell<u64>>, n: u64) -> impl FnOnce() + use<> {
    let sum = Rc::clone(sum);
    move || sum.set(sum.get() + n)
}

/// Without an order.
fn deadline(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn work<T, M: Measured<T>>(carried: impl Fn(&Rc<Cell<u64>>, u64) -> T) {
    let sum = Rc::new(Cell::new(0));
    let mut timers = M::default();
    let all: Vec<_> = (0..TIMERS).map(|n| timers.add(deadline(n), carried(&sum, n))).collect();
    all.iter().enumerate().filter(|(n, _)| n % 10 != 0).for_each(|(_, timer)| timers.cancel(timer));
    timers.run();
    assert_eq!(black_box(sum.get()), (0..TIMERS).step_by(10).sum(), "some were lost, or not canceled");
}

fn on_a_loop() {
    let clock = FakeClock::default();
    let config = Config { clock: Clock::Fake(clock.clone()), ..Config::default() };
    let ioloop = IoLoop::with(config).expect("a loop");
    let sum = Rc::new(Cell::new(0));
    let set = |n| {
        let run = in_place(&sum, n);
        ioloop.call_at(Duration::from_nanos(deadline(n)), |_| run())
    };
    let all: Vec<_> = (0..TIMERS).map(set).collect();
    all.iter().enumerate().filter(|(n, _)| n % 10 != 0).for_each(|(_, timer)| ioloop.remove_timeout(*timer));
    clock.advance(Duration::from_secs(1));
    ioloop.add_callback(IoLoop::stop);
    ioloop.start().expect("it runs");
    assert_eq!(black_box(sum.get()), (0..TIMERS).step_by(10).sum(), "some were lost, or not canceled");
}

/// Both have the same methods.
macro_rules! measured {
    ($timers:ty, $id:ty) => {
        impl<T: FnOnce()> Measured<T> for $timers {
            type Id = $id;

            fn add(&mut self, deadline: u64, carried: T) -> $id {
                self.add(Duration::from_nanos(deadline), carried)
            }

            fn cancel(&mut self, timer: &$id) {
                drop(self.cancel(*timer));
            }

            fn run(&mut self) {
                self.collect(|| Duration::MAX);
                while let Some(callback) = self.next_due() {
                    callback();
                }
            }
        }
    };
}

measured!(Timers<T>, TimerId);
measured!(OnSlab<T>, OnSlabId);

impl Measured<Callback> for Clear {
    type Id = clear::Timer;

    fn add(&mut self, deadline: u64, callback: Callback) -> clear::Timer {
        self.add(deadline, callback)
    }

    fn cancel(&mut self, timer: &clear::Timer) {
        self.cancel(timer);
    }

    fn run(&mut self) {
        self.run(u64::MAX);
    }
}
