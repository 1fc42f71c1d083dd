//! `unwinding WHAT`: `start` or the poll of a future unwinds with a panic, and a value that `run_sync` drops then panics, too.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use ioloop::IoLoop;

use super::support::{Outcome, panics};

/// Panics when it is dropped.
#[derive(Debug)]
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        println!("dropped yes");
        panics("the drop panicked");
    }
}

pub fn run(what: &str) -> Outcome {
    let ioloop = IoLoop::new()?;
    if what == "poll" {
        in_the_poll(&ioloop);
        return Ok(());
    }
    ioloop.handle_callback_exception(|_, _| panics("the hook panicked"));
    // In the first iteration, after the first poll.
    ioloop.call_at(Duration::ZERO, |_| Err::<(), _>("so that the hook is called"));
    let run = || match what {
        "operation" => {
            let held = Bad;
            let operation = poll_fn(move |_| {
                let _held = &held;
                Poll::<()>::Pending
            });
            ioloop.run_sync(operation, None)
        }
        _ => ioloop.run_sync(async { Bad }, None).map(std::mem::forget),
    };
    let thrown = catch_unwind(AssertUnwindSafe(run)).err();
    let words = thrown.as_deref().and_then(|thrown| thrown.downcast_ref::<String>());
    println!("thrown {}", words.map_or("nothing", String::as_str));
    Ok(())
}

fn in_the_poll(ioloop: &IoLoop) {
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let held = Bad;
    // Not an async block, which would drop its variables while it panics.
    let operation = poll_fn(move |_| -> Poll<()> {
        let _held = &held;
        panics("the poll panicked")
    });
    println!("result {:?}", ioloop.run_sync(operation, None));
}
