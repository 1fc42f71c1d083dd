//! A task's wake while one is pending, beside an atomic swap.

use std::future::poll_fn;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bench::{Clock, in_turns};
use ioloop::{Config, Current, IoLoop};

use crate::table::Row;

/// Wakes in one measurement.
const WAKES: usize = 1000;

pub fn rows() -> Vec<Row> {
    // Not this thread's current loop, so the wakes come from outside of it.
    let ioloop = IoLoop::with(Config { make_current: Current::No, ..Config::default() }).expect("a loop");
    let kept = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&kept);
    ioloop.spawn(poll_fn(move |context| {
        keeps.lock().expect("no panic").replace(context.waker().clone());
        Poll::<()>::Pending
    }));
    ioloop.call_later(Duration::from_millis(1), IoLoop::stop);
    ioloop.start().expect("it runs");
    let waker = kept.lock().expect("no panic").take().expect("a waker");
    waker.wake_by_ref();
    let flag = AtomicBool::new(true);
    let turns = in_turns(
        Clock::Thread,
        Duration::from_secs(2),
        || {
            for _ in 0..WAKES {
                black_box(black_box(&flag).swap(true, Ordering::AcqRel));
            }
        },
        || {
            for _ in 0..WAKES {
                black_box(&waker).wake_by_ref();
            }
        },
    );
    let [swap, wake] = [turns.bare, turns.ours].map(|[_, median, _]| median / WAKES as f64);
    vec![Row {
        name: "a task's wake while one is pending, beside an atomic swap".to_owned(),
        ours: bench::time(wake),
        peer: bench::time(swap),
        limit: format!("1.5 × + 4 ns: {}", bench::time(1.5 * swap + 4.0)),
        held: wake <= 1.5 * swap + 4.0,
        ..Row::at_most("", turns, 0.0)
    }]
}
