//! 100,000 futures that sleep, each in a task of its own, until the last of them is done: beside tokio, in one thread. It is
//! the processor's time that is compared, since both wait for the same deadlines.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bench::{Clock, in_turns};
use ioloop::IoLoop;
use tokio::runtime::Builder;

use crate::table::Row;

const SLEEPS: u64 = 100_000;

pub fn rows() -> Vec<Row> {
    let turns = in_turns(Clock::Thread, Duration::from_secs(6), on_tokio, on_the_loop);
    vec![Row::at_most(format!("{SLEEPS} sleeping futures, beside tokio"), turns, 1.0)]
}

/// In no order: 150 to 181 milliseconds. A sleep that is over before its first poll needs no timer, so none may be shorter than
/// it takes to make all of them.
fn time(n: u64) -> Duration {
    Duration::from_millis(150 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59))
}

fn on_tokio() {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let all: Vec<_> = (0..SLEEPS).map(|n| tokio::spawn(tokio::time::sleep(time(n)))).collect();
        for task in all {
            task.await.expect("no panic");
        }
    });
}

fn on_the_loop() {
    let ioloop = IoLoop::new().expect("a loop");
    let left = Rc::new(Cell::new(SLEEPS));
    for n in 0..SLEEPS {
        let (sleep, left, handle) = (ioloop.sleep(time(n)), Rc::clone(&left), ioloop.handle());
        ioloop.spawn(async move {
            sleep.await;
            left.set(left.get() - 1);
            if left.get() == 0 { handle.stop() } else { Ok(()) }
        });
    }
    ioloop.start().expect("it runs");
}
