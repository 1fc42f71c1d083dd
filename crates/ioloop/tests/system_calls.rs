//! The whole: costs that are counted instead of timed: the system calls of a wake from another thread, and the reads of
//! the clock.

use std::cell::Cell;
use std::error::Error;
use std::hint;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop};
use nix::sys::eventfd::EventFd;
use nix::unistd::{Pid, getppid};
use testing::tracer::{self, Call, Kernel, MARK};

testing::helper!(helper);

/// How many wakes are counted, after the first ones.
const COUNTED: usize = 5;

/// How many iterations. The tracer takes each instruction of them by itself, which takes time.
const ITERATIONS: usize = 2;

const FIRST: usize = 3;

/// The real kernel, with every call shown except those of a thread that spins.
struct AsItIs;

impl Kernel for AsItIs {
    fn words(&self, call: &Call) -> Option<String> {
        (call.name != "sched_yield").then(|| call.name.to_owned())
    }
}

fn helper(args: &[&str]) -> i32 {
    match args {
        ["traced", poller, "wakes"] => tracer::run(&mut AsItIs, || testing::exit_code(wakes(poller))),
        ["traced", timer, "iterations"] => {
            tracer::start(|| testing::exit_code(iterations(*timer == "with-a-timer")), print_clock_reads)
        }
        _ => 2,
    }
}

/// Another thread wakes the loop again and again, each time after the last wake has arrived.
fn wakes(poller: &str) -> Result<(), Box<dyn Error>> {
    let ioloop = IoLoop::with(Config { poller: poller.parse()?, ..Config::default() })?;
    let handle = ioloop.handle();
    let waking = thread::spawn(move || {
        let arrived = Arc::new(AtomicUsize::new(0));
        for wakes in 0..FIRST + COUNTED {
            if wakes == FIRST {
                getppid();
            }
            let arrives = Arc::clone(&arrived);
            handle.add_callback(move |_| {
                arrives.fetch_add(1, Ordering::Release);
            })?;
            while arrived.load(Ordering::Acquire) <= wakes {
                hint::spin_loop();
            }
        }
        getppid();
        handle.stop()
    });
    ioloop.start()?;
    waking.join().map_err(|_| "the thread that wakes panicked")??;
    Ok(())
}

/// The loop iterates for a descriptor that is always ready, with a mark before the iterations that count and one after.
fn iterations(with_a_timer: bool) -> Result<(), Box<dyn Error>> {
    let ioloop = IoLoop::new()?;
    if with_a_timer {
        ioloop.call_later(Duration::from_secs(3600), |_| ());
    }
    let events = Cell::new(0);
    let count = move |ioloop: &IoLoop, _: &mut EventFd, _| {
        events.set(events.get() + 1);
        if events.get() == FIRST {
            getppid();
        } else if events.get() == FIRST + ITERATIONS {
            getppid();
            ioloop.stop();
        }
    };
    ioloop.add_handler(EventFd::from_value(1)?, Events::READ, count)?;
    Ok(ioloop.start()?)
}

fn print_clock_reads(scenario: Pid) -> nix::Result<i32> {
    let mut printed = false;
    loop {
        match tracer::to_call(scenario, scenario, None)? {
            Break(code) => return Ok(code),
            Continue(stop) if stop.call.name == MARK && stop.answer.is_some() && !printed => {
                println!("reads {}", tracer::clock_reads_to_mark(scenario)?);
                printed = true;
            }
            Continue(_) => {}
        }
    }
}

#[test]
fn a_wake_from_another_thread_is_a_write_and_the_end_of_a_wait() {
    for (poller, each) in [
        (Kind::Epoll, &["epoll_wait", "write"][..]),
        // Without edges, the eventfd is ready until it is read.
        (Kind::Poll, &["poll", "read", "write"]),
    ] {
        let Some(answer) = testing::traced(&poller.to_string(), &["wakes"]) else { return };
        let mut calls: Vec<&str> = answer.lines("call").filter_map(|call| call.split(' ').next()).collect();
        calls.sort_unstable();
        let mut expected = each.repeat(COUNTED);
        expected.sort_unstable();
        assert_eq!(calls, expected, "{poller}: the system calls of {COUNTED} wakes, both threads together");
    }
}

#[test]
fn an_iteration_without_timers_reads_no_clock() {
    let Some(without) = testing::traced("without-a-timer", &["iterations"]) else { return };
    let Some(with) = testing::traced("with-a-timer", &["iterations"]) else { return };
    assert_eq!(
        without.line("reads"),
        "0",
        "how often {ITERATIONS} iterations read the clock, without any timer"
    );
    let with: usize = with.line("reads").parse().expect("a number");
    assert!(
        (ITERATIONS..=2 * ITERATIONS).contains(&with),
        "with a timer the clock is read to see whether it is due, and to sleep until it is: {with} times in {ITERATIONS} \
         iterations"
    );
}
