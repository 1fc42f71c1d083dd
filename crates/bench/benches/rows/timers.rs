//! 100,000 timers added to a loop, nine of ten canceled, the rest run: beside std's heap of boxes with Tornado's rule.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use bench::{Clock, in_turns};
use ioloop::{Config, FakeClock, IoLoop};

use crate::clear::Clear;
use crate::table::Row;

const TIMERS: u64 = 100_000;

pub fn rows() -> Vec<Row> {
    let mut timers = Clear::default();
    let clock = FakeClock::default();
    let config = Config { clock: ioloop::Clock::Fake(clock.clone()), ..Config::default() };
    let ioloop = IoLoop::with(config).expect("a loop");
    // Both keep their room from one round to the next, as in a process that runs for long.
    let turns =
        in_turns(Clock::Thread, Duration::from_secs(4), || boxes(&mut timers), || on_a_loop(&ioloop, &clock));
    let name = format!("{TIMERS} timers, beside a heap of boxes that is compacted at half");
    vec![Row::at_most(name, turns, 0.35)]
}

/// In no order.
fn deadline(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn add(sum: &Rc<Cell<u64>>, n: u64) -> impl FnOnce() + use<> {
    let sum = Rc::clone(sum);
    move || sum.set(sum.get() + n)
}

fn check(sum: &Cell<u64>) {
    assert_eq!(black_box(sum.get()), (0..TIMERS).step_by(10).sum(), "some were lost, or not canceled");
}

fn boxes(timers: &mut Clear) {
    let sum = Rc::new(Cell::new(0));
    let all: Vec<_> = (0..TIMERS).map(|n| timers.add(deadline(n), Box::new(add(&sum, n)))).collect();
    all.iter().enumerate().filter(|(n, _)| n % 10 != 0).for_each(|(_, timer)| timers.cancel(timer));
    timers.run(u64::MAX);
    check(&sum);
}

fn on_a_loop(ioloop: &IoLoop, clock: &FakeClock) {
    let (sum, now) = (Rc::new(Cell::new(0)), ioloop.time());
    let start = |n| {
        let run = add(&sum, n);
        ioloop.call_at(now + Duration::from_nanos(deadline(n)), |_| run())
    };
    let all: Vec<_> = (0..TIMERS).map(start).collect();
    all.iter().enumerate().filter(|(n, _)| n % 10 != 0).for_each(|(_, timer)| ioloop.remove_timeout(*timer));
    clock.advance(Duration::from_secs(1));
    ioloop.add_callback(IoLoop::stop);
    ioloop.start().expect("it runs");
    check(&sum);
}
