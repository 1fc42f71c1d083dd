//! `blocked WHAT`: a loop that blocks, and what is reported of it.

use std::cell::Cell;
use std::hint::black_box;
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ioloop::{Blocked, Events, IoLoop};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::Outcome;

const MS: Duration = Duration::from_millis(1);

pub fn run(what: &str) -> Outcome {
    match what {
        "caught" => caught(),
        "unwinding" => unwinding(),
        "callback" | "timer" | "handler" => reported(what),
        "asleep" => asleep(),
        "inside" => inside(),
        "twice" => twice(),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

/// Blocks until it was reported: so the report came while it did.
#[inline(never)]
fn the_one_that_blocks(reported: &AtomicBool) {
    while !black_box(reported).load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
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
        ioloop.stop();
    });
    ioloop.start()?;
    println!("reported while it blocks");
    stacks.recv()?.iter().for_each(|frame| println!("frame {frame}"));
    Ok(())
}

/// Blocks when it is dropped, until it was reported, and not for ever.
struct BlocksAtItsEnd(Arc<AtomicBool>);

impl Drop for BlocksAtItsEnd {
    fn drop(&mut self) {
        let start = Instant::now();
        while !self.0.load(Ordering::Acquire) && start.elapsed() < 4000 * MS {
            std::hint::spin_loop();
        }
    }
}

fn panics(reported: Arc<AtomicBool>) {
    let _blocks = BlocksAtItsEnd(reported);
    // A panic, without the message.
    std::panic::resume_unwind(Box::new("it blocks on its way"));
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

/// Blocks until it was reported, and not for ever.
fn reported(whose: &str) -> Outcome {
    let ioloop = IoLoop::new()?;
    let reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&reported);
    ioloop.set_blocking_threshold(Some(10 * MS), move |_| flag.store(true, Ordering::Release))?;
    let block = move |ioloop: &IoLoop| {
        let start = Instant::now();
        while !reported.load(Ordering::Acquire) && start.elapsed() < 7000 * MS {
            std::hint::spin_loop();
        }
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
    // Long beside what a busy machine makes of a moment, short beside the sleep.
    ioloop.set_blocking_threshold(Some(300 * MS), count)?;
    Ok(reports)
}

fn asleep() -> Outcome {
    let ioloop = IoLoop::new()?;
    let reports = counting(&ioloop)?;
    let sleeps = Rc::new(Cell::new(0));
    let counted = Rc::clone(&sleeps);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));
    ioloop.call_later(700 * MS, IoLoop::stop);
    ioloop.start()?;
    println!("sleeps {}", sleeps.get());
    println!("reports {}", reports.load(Ordering::Acquire));
    Ok(())
}

fn handler() -> nix::Result<usize> {
    // SAFETY: the default runs no code of ours, and what was there is put back at once.
    let before = unsafe {
        sigaction(Signal::SIGALRM, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty()))
    }?;
    // SAFETY: what was there before.
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
        while seen.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        println!("set {} report", seen.load(Ordering::Acquire));
        ioloop.set_blocking_threshold(None, |_| ())?;
        let start = Instant::now();
        while start.elapsed() < 50 * MS {
            std::hint::spin_loop();
        }
        println!("taken-back {} reports", seen.load(Ordering::Acquire) - 1);
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
