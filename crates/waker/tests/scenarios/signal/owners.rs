//! `owner WHAT`: signals that get an owner, lose it, and get another one.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::libc::{O_CLOEXEC, c_int};
use nix::sys::signal::Signal::{SIGIO, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::unistd::getppid;
use testing::judged;
use waker::pipe;
use waker::signal::SignalWaker;

use super::super::support::helper::outcome::{Outcome, state};
use super::disposition::Disposition;
use super::sent::names;
use super::stepper;

const KINDS: [Signal; 3] = [SIGUSR1, SIGUSR2, SIGTERM];

/// Prints what it saw; `took …` has the names of the signals that `take` returned.
pub fn run(what: &str) -> Outcome {
    match what {
        "restored" => restored(),
        "owners" => owners(),
        "two" => two_at_once(),
        "refused" => refused(),
        "unwound" => unwound(),
        "dropped" => dropped_during_a_handler(),
        "stepped" => stepped(),
        "new-stepped" => new_stepped(),
        _ => Err(format!("no scenario is called {what}").into()),
    }
}

fn restored() -> Outcome {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn previous(_: c_int) {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let mask: SigSet = [SIGTERM, SIGIO].into_iter().collect();
    let action = SigAction::new(SigHandler::Handler(previous), SaFlags::SA_NODEFER, mask);
    // SAFETY: the handler only increments an atomic.
    unsafe { sigaction(SIGUSR1, &action) }?;
    // SAFETY: an ignored signal runs no handler.
    unsafe { sigaction(SIGUSR2, &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty())) }?;
    let dispositions =
        || -> nix::Result<Vec<_>> { KINDS.iter().map(|kind| Disposition::of(*kind)).collect() };
    let waker = pipe::Waker::new()?;
    let (before, files) = (dispositions()?, descriptors()?);
    let inheritable = inheritable_descriptors()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    println!("inheritable {}", inheritable_descriptors()? - inheritable);
    let meanwhile = dispositions()?;
    println!("restarts {}", meanwhile.iter().all(Disposition::restarts));
    raise(SIGUSR1)?;
    println!("meanwhile {}", CALLS.load(Ordering::SeqCst));
    drop(signals);
    println!("descriptors {}", descriptors()? - files);
    waker.consume()?;
    let after = dispositions()?;
    for ((kind, before), after) in KINDS.iter().zip(&before).zip(&after) {
        match before == after {
            true => println!("as-before {kind}"),
            false => println!("changed {kind} was {before}, and is {after}"),
        }
    }
    // With a wrong handler, the signal might end this process.
    if before != after {
        return Ok(());
    }
    raise(SIGUSR1)?;
    println!("afterwards {} {}", CALLS.load(Ordering::SeqCst), state(&waker));
    Ok(())
}

fn descriptors() -> std::io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

fn inheritable_descriptors() -> std::io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let info = fs::read_to_string(entry?.path()).unwrap_or_default();
        let flags =
            info.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        count += usize::from(flags.is_some_and(|flags| flags & O_CLOEXEC == 0));
    }
    Ok(count)
}

/// For the tracer, which holds the thread that gets the signal before its handler's write.
fn dropped_during_a_handler() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let thread = thread::spawn(|| {
        let raised = raise(SIGUSR1);
        getppid(); // the tracer's mark: the handler has returned
        raised
    });
    judged(|| drop(signals));
    thread.join().map_err(|_| "the thread panicked")??;
    Ok(())
}

/// For the stepper, which sends a SIGUSR1 in the middle of each `drop` except the first.
fn stepped() -> Outcome {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn previous(_: c_int) {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let waker = pipe::Waker::new()?;
    let action = SigAction::new(SigHandler::Handler(previous), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only increments an atomic.
    unsafe { sigaction(SIGUSR1, &action) }?;
    for round in 0..=stepper::ROUNDS {
        let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
        let before = CALLS.load(Ordering::SeqCst);
        judged(|| drop(signals));
        let called = CALLS.load(Ordering::SeqCst) - before;
        if round > 0 && called == 0 && state(&waker) == "silent" {
            println!("swallowed in round {round}");
        }
        waker.consume()?;
    }
    println!("rounds {}", stepper::ROUNDS);
    Ok(())
}

/// For the stepper, which sends a SIGUSR1 in the middle of each `new` except the first.
fn new_stepped() -> Outcome {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn previous(_: c_int) {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
    let waker = pipe::Waker::new()?;
    let action = SigAction::new(SigHandler::Handler(previous), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only increments an atomic.
    unsafe { sigaction(SIGUSR1, &action) }?;
    for round in 0..=stepper::ROUNDS {
        let before = CALLS.load(Ordering::SeqCst);
        let signals = judged(|| SignalWaker::new(waker.writer(), &[SIGUSR1]))?;
        let called = CALLS.load(Ordering::SeqCst) - before;
        let (woken, took) = (state(&waker), signals.take().contains(SIGUSR1));
        if round > 0 && called == 0 && (woken == "silent" || !took) {
            println!("swallowed in round {round}: the waker is {woken}, and `take` returned it: {took}");
        }
        waker.consume()?;
    }
    println!("rounds {}", stepper::ROUNDS);
    Ok(())
}

/// A second owner while the first one exists, and then one after it.
fn owners() -> Outcome {
    let (first, second) = (pipe::Waker::new()?, pipe::Waker::new()?);
    let signals = SignalWaker::new(first.writer(), &[SIGUSR1])?;
    raise(SIGUSR1)?;
    match SignalWaker::new(second.writer(), &[SIGUSR2, SIGTERM, SIGUSR1]) {
        Ok(_) => println!("second Ok"),
        Err(error) => println!("second {:?} {error}", error.errno),
    }
    println!("kept {}", names(&signals.take()));
    first.consume()?;
    println!("disposition {}", Disposition::of(SIGUSR2)?);
    for signal in [SIGUSR2, SIGTERM] {
        match SignalWaker::new(second.writer(), &[signal]) {
            Ok(_) => println!("claimed {signal} Ok"),
            Err(error) => println!("claimed {signal} {error}"),
        }
    }
    raise(SIGUSR1)?;
    println!("woken {} {}", state(&first), state(&second));
    first.consume()?;
    println!("took {}", names(&signals.take()));
    raise(SIGUSR1)?;
    drop(signals);
    first.consume()?;
    let signals = match SignalWaker::new(second.writer(), &[SIGUSR1]) {
        Ok(signals) => signals,
        Err(error) => {
            println!("released {error}");
            return Ok(());
        }
    };
    println!("released Ok");
    println!("stale {}", names(&signals.take()));
    raise(SIGUSR1)?;
    println!("later {} {}", state(&first), state(&second));
    println!("took-later {}", names(&signals.take()));
    Ok(())
}

/// Two owners, each with a signal of its own. Each line says what `take` of one of them should return, and did.
fn two_at_once() -> Outcome {
    let (first, second) = (pipe::Waker::new()?, pipe::Waker::new()?);
    let firsts = SignalWaker::new(first.writer(), &[SIGUSR1])?;
    raise(SIGUSR1)?;
    let seconds = SignalWaker::new(second.writer(), &[SIGUSR2])?;
    println!("after-new SIGUSR1 {}", names(&firsts.take()));
    first.consume()?;
    raise(SIGUSR2)?;
    println!("second-came {} {}", state(&first), state(&second));
    second.consume()?;
    raise(SIGUSR1)?;
    println!("first-came {} {}", state(&first), state(&second));
    println!("own SIGUSR2 {}", names(&seconds.take()));
    println!("after-take SIGUSR1 {}", names(&firsts.take()));
    raise(SIGUSR2)?;
    drop(firsts);
    println!("after-drop SIGUSR2 {}", names(&seconds.take()));
    Ok(())
}

fn unwound() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _dropped = signals;
        // A panic without a message, which would only hide the answer.
        resume_unwind(Box::new(()))
    }));
    unwound.err().ok_or("the panic unwinds to its catch")?;
    println!("disposition {}", Disposition::of(SIGUSR1)?);
    Ok(())
}

fn refused() -> Outcome {
    let waker = pipe::Waker::new()?;
    match SignalWaker::new(waker.writer(), &[SIGUSR1, SIGKILL]) {
        Ok(_) => println!("result Ok"),
        Err(error) => println!("result {:?} {error}", error.errno),
    }
    println!("disposition {}", Disposition::of(SIGUSR1)?);
    match SignalWaker::new(waker.writer(), &[SIGUSR1]) {
        Ok(_) => println!("then Ok"),
        Err(error) => println!("then {error}"),
    }
    match SignalWaker::new(waker.writer(), &[SIGKILL]) {
        Ok(_) => println!("again Ok"),
        Err(error) => println!("again {:?} {error}", error.errno),
    }
    Ok(())
}
