//! How late a timer of 1.5 ms runs, beside ppoll(2), which takes nanoseconds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bench::{is_measuring, quartiles, time};
use ioloop::IoLoop;
use nix::poll::ppoll;

use crate::table::Row;

const SLEEP: Duration = Duration::from_micros(1500);

/// In nanoseconds.
const LIMIT: f64 = 0.2e6;

pub fn rows() -> Vec<Row> {
    let ioloop = IoLoop::new().expect("a loop");
    let late = Rc::<RefCell<Vec<f64>>>::default();
    let mut bare = Vec::new();
    for _ in 0..if is_measuring() { 500 } else { 1 } {
        let start = Instant::now();
        ppoll(&mut [], Some(SLEEP.into()), None).expect("it sleeps");
        bare.push(lateness(start));
        let (start, late) = (Instant::now(), Rc::clone(&late));
        ioloop.call_later(SLEEP, move |ioloop| {
            late.borrow_mut().push(lateness(start));
            ioloop.stop();
        });
        ioloop.start().expect("it runs");
    }
    let [bare, [low, ours, high]] = [quartiles(&mut bare), quartiles(&mut late.borrow_mut())];
    vec![Row {
        name: "a timer of 1.5 ms is late by".to_owned(),
        ours: format!("{} ({} to {})", time(ours), time(low), time(high)),
        peer: format!("{} (ppoll)", time(bare[1])),
        ratio: None,
        limit: format!("below {}", time(LIMIT)),
        held: ours < LIMIT,
    }]
}

/// In nanoseconds.
fn lateness(start: Instant) -> f64 {
    (start.elapsed() - SLEEP).as_secs_f64() * 1e9
}
