//! `signalled WHAT`: signals that this process sends itself, and how its loop handles them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ioloop::{Blocked, IoLoop};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};

use super::support::{Outcome, turns};

pub fn run(what: &str) -> Outcome {
    match what {
        "wakes" => wakes(),
        "kinds" => kinds(),
        "removed" => removed(),
        "late" => late(),
        "closed" => closed(),
        "too-late" => too_late(),
        "again" => again(),
        "thread" => another_thread(),
        "alarm" => alarm(),
        "deaf" => deaf(),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

fn wakes() -> Outcome {
    let ioloop = IoLoop::new()?;
    ioloop.add_signal_handler(&[Signal::SIGUSR1], |ioloop, signal| {
        println!("came {signal}");
        ioloop.stop();
    })?;
    // From a thread, so that the loop is asleep, or about to be.
    let thread = thread::spawn(|| raise(Signal::SIGUSR1));
    ioloop.start()?;
    thread.join().map_err(|_| "the thread panicked")??;
    Ok(())
}

fn kinds() -> Outcome {
    let ioloop = IoLoop::new()?;
    ioloop.add_signal_handler(&[Signal::SIGUSR1, Signal::SIGUSR2], |_, signal| println!("came {signal}"))?;
    ioloop.add_callback(|_| {
        (0..5).try_for_each(|_| raise(Signal::SIGUSR1))?;
        raise(Signal::SIGUSR2)
    });
    ioloop.call_later(Duration::from_millis(20), IoLoop::stop);
    ioloop.start()?;
    Ok(())
}

fn removed() -> Outcome {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGUSR1, SigHandler::SigIgn) }?;
    let ioloop = IoLoop::new()?;
    let token = ioloop.add_signal_handler(&[Signal::SIGUSR1], |_, _| ())?;
    ioloop.remove_signal_handler(token);
    raise(Signal::SIGUSR1)?;
    println!("ignored yes");
    Ok(())
}

/// The signals come, the loop takes them, and then a callback that was queued before removes their handler.
fn late() -> Outcome {
    let both = [Signal::SIGUSR1, Signal::SIGUSR2];
    let raise_both = move || both.into_iter().try_for_each(raise);
    let ioloop = IoLoop::new()?;
    let ran = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ran);
    let token = ioloop.add_signal_handler(&both, move |_, _| counted.set(counted.get() + 1))?;
    ioloop.add_callback(move |ioloop| {
        ioloop.add_callback(move |ioloop| ioloop.remove_signal_handler(token));
        raise_both()
    });
    turns(&ioloop, 3);
    println!("ran {} times", ran.take());

    let own = Rc::new(Cell::new(None));
    let (counted, token) = (Rc::clone(&ran), Rc::clone(&own));
    let added = ioloop.add_signal_handler(&both, move |ioloop, _| {
        counted.set(counted.get() + 1);
        token.take().into_iter().for_each(|token| ioloop.remove_signal_handler(token));
    })?;
    own.set(Some(added));
    ioloop.add_callback(move |_| raise_both());
    turns(&ioloop, 3);
    println!("removing-itself {} time", ran.get());
    Ok(())
}

fn closed() -> Outcome {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGUSR1, SigHandler::SigIgn) }?;
    let ioloop = IoLoop::new()?;
    ioloop.add_signal_handler(&[Signal::SIGUSR1], |_, _| ())?;
    ioloop.set_blocking_threshold(Some(Duration::from_secs(5)), |_| ())?;
    ioloop.close();
    raise(Signal::SIGUSR1)?;
    // A thread that was joined may be listed a moment longer; if it stays, the helper's alarm fires.
    while std::fs::read_dir("/proc/self/task")?.count() > 1 {
        thread::yield_now();
    }
    println!("threads 1");
    let other = IoLoop::new()?;
    other.add_signal_handler(&[Signal::SIGUSR1], |_, _| ())?;
    println!("given back");
    Ok(())
}

/// Asks for a signal when it is dropped.
struct Late(IoLoop);

impl Drop for Late {
    fn drop(&mut self) {
        ask(&self.0);
    }
}

fn ask(ioloop: &IoLoop) {
    let added = ioloop.add_signal_handler(&[Signal::SIGUSR2], |_, _| ());
    println!("added {}", added.map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into()));
}

fn too_late() -> Outcome {
    let ioloop = IoLoop::new()?;
    let held = Late(ioloop.clone());
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| {
        let _held = &held;
    })?;
    ioloop.close();
    ask(&ioloop);
    let long = Some(Duration::from_secs(5));
    let watched = ioloop.set_blocking_threshold(long, |_| ());
    println!("watched {}", watched.map_or_else(|error| format!("{:?}", error.errno), |()| "Ok".into()));
    let other = IoLoop::new()?;
    other.add_signal_handler(&[Signal::SIGUSR2], |_, _| ())?;
    other.set_blocking_threshold(long, |_| ())?;
    println!("given back");
    Ok(())
}

/// Each run of the handler sends the signal again.
fn again() -> Outcome {
    let ioloop = IoLoop::new()?;
    let times = Rc::new(Cell::new(0));
    let counted = Rc::clone(&times);
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, signal| {
        counted.set(counted.get() + 1);
        if counted.get() == 1000 {
            ioloop.stop();
            return Ok(());
        }
        raise(signal)
    })?;
    raise(Signal::SIGUSR1)?;
    ioloop.start()?;
    println!("times {}", times.get());
    Ok(())
}

fn another_thread() -> Outcome {
    let (to_main, handles) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || -> ioloop::Result<()> {
        let ioloop = IoLoop::new()?;
        let _ = to_main.send(ioloop.handle());
        ioloop.start()
    });
    let handle = handles.recv()?;
    let ioloop = IoLoop::new()?;
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, _| {
        ioloop.stop();
        handle.stop()
    })?;
    raise(Signal::SIGUSR1)?;
    ioloop.start()?;
    println!("ended {}", if thread.join().map_err(|_| "panicked")?.is_ok() { "Ok" } else { "Err" });
    Ok(())
}

/// SIGALRM for a watchdog, and for signal handlers, in turns.
fn alarm() -> Outcome {
    let (ioloop, other) = (IoLoop::new()?, IoLoop::new()?);
    let said = |what: ioloop::Result<()>| {
        println!("then {}", what.map_or_else(|error| error.to_string(), |()| "Ok".into()));
    };
    let handle = |ioloop: &IoLoop| ioloop.add_signal_handler(&[Signal::SIGUSR1, Signal::SIGALRM], |_, _| ());
    let watch = |ioloop: &IoLoop| ioloop.set_blocking_threshold(Some(Duration::from_secs(5)), |_| ());
    said(watch(&ioloop));
    said(handle(&ioloop).map(drop));
    said(handle(&other).map(drop));
    ioloop.set_blocking_threshold(None, |_| ())?;
    let token = handle(&ioloop)?;
    said(watch(&ioloop));
    said(watch(&other));
    said(handle(&other).map(drop));
    ioloop.remove_signal_handler(token);
    said(watch(&other));
    Ok(())
}

/// The mask blocks SIGALRM, as one that is inherited from another program may.
fn deaf() -> Outcome {
    let alarm = SigSet::from(Signal::SIGALRM);
    alarm.thread_block()?;
    let (ioloop, reported) = (IoLoop::new()?, Arc::new(AtomicBool::new(false)));
    let flag = Arc::clone(&reported);
    let report = move |_: &Blocked| flag.store(true, Ordering::Release);
    ioloop.set_blocking_threshold(Some(Duration::from_millis(10)), report)?;
    ioloop.add_callback(move |ioloop| {
        let start = Instant::now();
        while !reported.load(Ordering::Acquire) && start.elapsed() < Duration::from_secs(4) {
            std::hint::spin_loop();
        }
        println!("reported {}", reported.load(Ordering::Acquire));
        ioloop.stop();
    });
    ioloop.start()?;
    ioloop.close();
    println!("blocked {}", SigSet::thread_get_mask()?.contains(Signal::SIGALRM));
    Ok(())
}
