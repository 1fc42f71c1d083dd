//! `blocked WHAT`: a loop that blocks, and what its watchdog reports.

use std::cell::Cell;
use std::hint::black_box;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ioloop::{Blocked, Events, IoLoop};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::support::Outcome;

const MS: Duration = Duration::from_millis(1);

/// Shorter than the time after which a helper counts as hung.
const LONG: Duration = Duration::from_secs(4);

/// How long a loop sleeps.
const SLEEP: Duration = Duration::from_millis(200);

pub fn run(what: &str) -> Outcome {
    // A report needs the names of functions. Reading the symbol tables takes seconds on a busy machine, so they are read before
    // anything blocks: of one function of this program, and of one of the C library.
    for function in [run as *const (), libc::clock_nanosleep as *const ()] {
        backtrace::resolve(function.cast_mut().cast(), |_| ());
    }
    match what {
        "caught" => caught(),
        "unwinding" => unwinding(),
        "callback" | "timer" | "handler" | "subscriber" => reported(what),
        "asleep" => asleep(),
        "inside" => inside(),
        "twice" => twice(),
        "thrown" => thrown(),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

/// Spins until a condition holds, or for `longest`.
fn spin(longest: Duration, until: impl Fn() -> bool) {
    let start = Instant::now();
    while !until() && start.elapsed() < longest {
        std::hint::spin_loop();
    }
}

/// Blocks until it was reported, so that the report came while it blocked.
#[inline(never)]
fn the_one_that_blocks(reported: &AtomicBool) {
    spin(LONG, || black_box(reported).load(Ordering::Acquire));
}

fn caught() -> Outcome {
    let ioloop = IoLoop::new()?;
    let reported = Arc::new(AtomicBool::new(false));
    let (to_main, stacks) = mpsc::channel();
    let flag = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(10 * MS), move |blocked| {
        let _ = to_main.send(blocked.stack.clone());
        flag.store(true, Ordering::Release);
    })?;
    ioloop.add_callback(move |ioloop| {
        the_one_that_blocks(&reported);
        println!("reported {}", if reported.load(Ordering::Acquire) { "while it blocks" } else { "never" });
        ioloop.stop();
    });
    ioloop.start()?;
    // No more stacks come, and the sender is dropped.
    ioloop.set_blocking_threshold(None, |_| ())?;
    stacks.recv().iter().flatten().for_each(|frame| println!("frame {frame}"));
    Ok(())
}

/// Blocks when it is dropped, until that was reported, but not forever.
struct BlocksAtItsEnd(Arc<AtomicBool>);

impl Drop for BlocksAtItsEnd {
    fn drop(&mut self) {
        spin(LONG, || self.0.load(Ordering::Acquire));
    }
}

fn panics(reported: Arc<AtomicBool>) {
    let _blocks = BlocksAtItsEnd(reported);
    // A panic, without the message.
    resume_unwind(Box::new("it blocks on its way"));
}

fn unwinding() -> Outcome {
    let ioloop = IoLoop::new()?;
    let reported = Arc::new(AtomicBool::new(false));
    let (to_main, stacks) = mpsc::channel();
    let flag = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(10 * MS), move |blocked| {
        let _ = to_main.send(blocked.stack.clone());
        flag.store(true, Ordering::Release);
    })?;
    ioloop.handle_callback_exception(|ioloop, _| {
        println!("then caught");
        ioloop.stop();
    });
    let flag = Arc::clone(&reported);
    ioloop.add_callback(move |_| panics(flag));
    ioloop.start()?;
    println!("reported {}", if reported.load(Ordering::Acquire) { "yes" } else { "no" });
    stacks.recv()?.iter().for_each(|frame| println!("frame {frame}"));
    Ok(())
}

/// Blocks until that was reported, but not forever.
fn reported(whose: &str) -> Outcome {
    let ioloop = IoLoop::new()?;
    let reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(10 * MS), move |_| flag.store(true, Ordering::Release))?;
    let block = move |ioloop: &IoLoop| {
        spin(7000 * MS, || reported.load(Ordering::Acquire));
        println!("reported {}", if reported.load(Ordering::Acquire) { "yes" } else { "no" });
        ioloop.stop();
    };
    match whose {
        "handler" => {
            let (reader, mut writer) = std::io::pipe()?;
            writer.write_all(b"x")?;
            ioloop.add_handler(reader, Events::READ, move |ioloop, _, _| block(ioloop))?;
        }
        "timer" => {
            ioloop.call_at(Duration::ZERO, block);
        }
        "subscriber" => {
            ioloop.subscribe(move |ioloop, _| block(ioloop));
            // With a callback queued, the loop does not sleep in its first iteration.
            ioloop.add_callback(|ioloop| ioloop.add_callback(|_| ()));
        }
        _ => ioloop.add_callback(block),
    }
    ioloop.start()?;
    Ok(())
}

fn counting(ioloop: &IoLoop) -> ioloop::Result<Arc<AtomicUsize>> {
    let reports = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reports);
    let count = move |_: &Blocked| {
        counted.fetch_add(1, Ordering::AcqRel);
    };
    // Long compared to the delays of a busy machine, short compared to the sleep.
    ioloop.set_blocking_threshold(Some(80 * MS), count)?;
    Ok(reports)
}

fn asleep() -> Outcome {
    let ioloop = IoLoop::new()?;
    let reports = counting(&ioloop)?;
    let sleeps = Rc::new(Cell::new(0));
    let counted = Rc::clone(&sleeps);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));
    ioloop.call_later(SLEEP, IoLoop::stop);
    ioloop.start()?;
    println!("sleeps {}", sleeps.get());
    // Stacks that were noted by now are reported first: finding the names takes time.
    ioloop.set_blocking_threshold(None, |_| ())?;
    println!("reports {}", reports.load(Ordering::Acquire));
    Ok(())
}

fn handler() -> nix::Result<usize> {
    // SAFETY: the default action runs no code of ours, and the old action is restored at once.
    let before = unsafe {
        sigaction(Signal::SIGALRM, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty()))
    }?;
    // SAFETY: this is the action that was there before.
    unsafe { sigaction(Signal::SIGALRM, &before) }?;
    Ok(match before.handler() {
        SigHandler::Handler(handler) => handler as usize,
        _ => 0,
    })
}

fn inside() -> Outcome {
    let ioloop = IoLoop::new()?;
    let before = handler()?;
    let reports = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reports);
    ioloop.add_callback(move |ioloop| {
        let counted = Arc::clone(&counted);
        let seen = Arc::clone(&counted);
        let count = move |_: &Blocked| {
            counted.fetch_add(1, Ordering::AcqRel);
        };
        ioloop.set_blocking_threshold(Some(5 * MS), count)?;
        spin(LONG, || seen.load(Ordering::Acquire) > 0);
        println!("set {} report", seen.load(Ordering::Acquire));
        ioloop.set_blocking_threshold(None, |_| ())?;
        spin(50 * MS, || false);
        println!("taken-back {} reports", seen.load(Ordering::Acquire).saturating_sub(1));
        ioloop.stop();
        Ok::<_, ioloop::Error>(())
    });
    ioloop.start()?;
    println!("signal {}", if handler()? == before { "as before" } else { "still handled" });
    Ok(())
}

fn twice() -> Outcome {
    let (one, other) = (IoLoop::new()?, IoLoop::new()?);
    let _reports = counting(&one)?;
    match counting(&other) {
        Ok(_) => println!("second Ok"),
        Err(error) => println!("second {:?}", error.errno),
    }
    one.close();
    Ok(())
}

/// A panic that leaves the loop, and a caller that takes long afterwards.
fn thrown() -> Outcome {
    let ioloop = IoLoop::new()?;
    let reports = counting(&ioloop)?;
    ioloop.handle_callback_exception(|_, _| resume_unwind(Box::new("the hook panics")));
    ioloop.add_callback(|_| Err::<(), _>("it failed"));
    println!("thrown {}", catch_unwind(AssertUnwindSafe(|| ioloop.start())).is_err());
    // No event can be awaited, because the alarm must not fire. If the alarm is later, a wrong answer passes, and no
    // right one fails.
    std::thread::sleep(SLEEP);
    // Stacks that were noted by now are reported first: finding the names takes time.
    ioloop.set_blocking_threshold(None, |_| ())?;
    println!("reports {}", reports.load(Ordering::Acquire));
    Ok(())
}
