//! `two-panics`: the poll of a task panics, and a value of its future panics when the future is dropped.

use std::future::poll_fn;
use std::task::Poll;

use ioloop::IoLoop;

use super::support::{Bad, Outcome, panics, turns};

/// Prints `reported …` for each failure, and `iterations 2` if the loop went on.
pub fn two_panics() -> Outcome {
    let ioloop = IoLoop::new()?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let held = Bad;
    // Not an async block, which would drop its variables while it panics.
    ioloop.spawn(poll_fn(move |_| -> Poll<()> {
        let _held = &held;
        panics("the poll panicked")
    }));
    turns(&ioloop, 2);
    println!("iterations 2");
    Ok(())
}
