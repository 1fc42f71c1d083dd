//! `model WHAT`: an owner and a handler in two threads, in every order of their steps, with loom.
//!
//! The kernel is the real one, and the handler is the one that `new` installed, called as a function. So a descriptor that
//! is closed too early can be seen as what it is: the next file gets its number, and the handler's bytes.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread::{self, JoinHandle};
use nix::sys::signal::Signal::{self, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SigHandler, signal};
use nix::unistd::{dup2_stderr, dup2_stdin};
use waker::pipe::Waker;

use super::super::modelled::SignalWaker;
use super::super::support::helper::outcome::{Outcome, state};
use super::super::sync::atomic::{close_watched, finish, flush, is_used, watch};
use super::disposition::Disposition;

/// Prints `seen N`, how many of the statics loom could see, and a line for what is wrong.
pub fn run(what: &str) -> Outcome {
    let (run, preemptions): (fn(), usize) = match what {
        "drop" => (|| dropped_during(&[SIGUSR1]), 3),
        "drop-two" => (|| dropped_during(&[SIGUSR1, SIGUSR2]), 2),
        "next-owner" => (owned_again_during_a_handler, 2),
        "later-owner" => (owned_again_after_a_handler, 3),
        "publish" => (|| published(true), 3),
        "publish-unwritten" => (|| published(false), 2),
        "unwritten-once" => (taken_once, 3),
        "drained" => (drained, 3),
        _ => return Err(format!("no model is called {what}").into()),
    };
    // A slot without an owner must not have a descriptor's number: no handler may write to the standard streams.
    let (stdin, stderr) = (pipe(), pipe());
    dup2_stdin(stdin.writer())?;
    dup2_stderr(stderr.writer())?;
    std::panic::set_hook(Box::new(|panic| {
        if panic.to_string().contains("Causality violation") {
            wrong("nothing orders the last step of a handler before the close of its descriptor");
        }
        if panic.to_string().contains("maximum number of branches") {
            wrong(
                "`drop` waits without end. Does it wait with `super::sync::thread::yield_now`? It lets loom run the handler",
            );
        }
        println!("wrong {panic}");
    }));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 20_000;
    model.check(move || {
        use_all_statics();
        run();
        // SAFETY: the default action runs no code of this process.
        let _ = [SIGUSR1, SIGUSR2].map(|each| unsafe { signal(each, SigHandler::SigDfl) });
        if finish() == 0 {
            println!("unseen by loom");
            std::process::exit(0);
        }
    });
    for (number, stream) in [(0, stdin), (2, stderr)] {
        if state(&stream) == "ready" {
            wrong(&format!("a handler wrote to descriptor {number}, which belongs to no owner"));
        }
    }
    println!("seen all of them");
    Ok(())
}

/// Makes the atomics of this run while it has one thread. If two threads used one first, loom would see that as a race.
fn use_all_statics() {
    let waker = pipe();
    let signals = owner(&waker, &[SIGUSR1, SIGUSR2]);
    for signal in [SIGUSR1, SIGUSR2] {
        installed(signal)(signal as i32);
    }
    signals.take();
}

fn wrong(what: &str) -> ! {
    println!("wrong {what}");
    std::process::exit(0);
}

fn owner(waker: &Waker, signals: &[Signal]) -> SignalWaker {
    SignalWaker::new(waker.writer(), signals).unwrap_or_else(|error| wrong(&format!("`new`: {error}")))
}

/// A signal that comes in another thread.
fn signal_in_a_thread(signal: Signal, before: impl FnOnce() + 'static) -> JoinHandle<()> {
    let handler = installed(signal);
    thread::spawn(move || {
        before();
        handler(signal as i32);
        flush();
    })
}

fn installed(signal: Signal) -> extern "C" fn(i32) {
    let handler = Disposition::of(signal).ok().and_then(|disposition| disposition.handler());
    handler.unwrap_or_else(|| wrong("`new` installed no handler"))
}

/// `drop` closes the descriptor while the handlers of these signals, each in a thread, may be about to write to it.
fn dropped_during(came: &[Signal]) {
    let (waker, stranger) = (pipe(), pipe());
    watch(next_number(&waker));
    let signals = owner(&waker, came);
    let handlers: Vec<_> = came.iter().map(|signal| signal_in_a_thread(*signal, || ())).collect();
    drop(signals);
    flush();
    close_watched();
    // It gets the lowest free number, which is the one that was closed.
    let number =
        cloexec::open::duplicate(stranger.writer()).unwrap_or_else(|error| wrong(&error.to_string()));
    // This changes the set, so loom tries all this before the handler changes the set, which it does before its write.
    let _other = SignalWaker::new(waker.writer(), &[SIGTERM]);
    handlers.into_iter().for_each(|handler| handler.join().unwrap_or_else(|_| wrong("a panic")));
    if state(&stranger) == "ready" {
        wrong(&format!(
            "the handler wrote to descriptor {}, which was another file by then",
            number.as_raw_fd()
        ));
    }
}

/// Another thread makes the next owner as soon as it can. Its first signal comes when everything else has happened.
fn owned_again_during_a_handler() {
    let (first, second) = (pipe(), Arc::new(pipe()));
    let signals = owner(&first, &[SIGUSR1]);
    let handler = signal_in_a_thread(SIGUSR1, || ());
    let waker = second.clone();
    let dropping = loom::sync::Arc::new(AtomicBool::new(false));
    let before = dropping.clone();
    let next = thread::spawn(move || {
        let next = SignalWaker::new(waker.writer(), &[SIGUSR1]).ok();
        if next.is_some() && is_used() && !before.load(Relaxed) {
            wrong("`new` got a signal, and what its previous owner did before was not visible");
        }
        flush();
        next
    });
    dropping.store(true, Relaxed);
    drop(signals);
    flush();
    handler.join().unwrap_or_else(|_| wrong("a panic"));
    let next = next.join().unwrap_or_else(|_| wrong("a panic"));
    if next.is_some() {
        installed(SIGUSR1)(SIGUSR1 as i32);
        if state(&*second) == "silent" {
            wrong("a signal of the next owner did not wake it");
        }
    }
}

/// The thread that has dropped the owner makes the next one. Its first signal comes when everything else has happened.
fn owned_again_after_a_handler() {
    let (first, second) = (pipe(), pipe());
    let signals = owner(&first, &[SIGUSR1]);
    let handler = signal_in_a_thread(SIGUSR1, || ());
    drop(signals);
    let _next = owner(&second, &[SIGUSR1]);
    handler.join().unwrap_or_else(|_| wrong("a panic"));
    installed(SIGUSR1)(SIGUSR1 as i32);
    if state(&second) == "silent" {
        wrong("a signal of the next owner did not wake it");
    }
}

/// A thread queues an item, and then it gets a signal. A loop that takes the signal should find the item, even if the pipe has
/// no reader, so that the handler's write fails.
fn published(has_reader: bool) {
    let waker = pipe();
    let signals = owner(&waker, &[SIGUSR1]);
    if !has_reader {
        waker.close();
    }
    let items: Vec<_> = (0..2).map(|_| loom::sync::Arc::new(AtomicBool::new(false))).collect();
    let threads: Vec<_> = items
        .iter()
        .cloned()
        .map(|item| signal_in_a_thread(SIGUSR1, move || item.store(true, Relaxed)))
        .collect();
    let came = || signals.take().contains(SIGUSR1);
    if came() && !items.iter().any(|item| item.load(Relaxed)) {
        wrong("`take` returned a signal, and what its thread did before was not visible");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap_or_else(|_| wrong("a panic")));
}

/// A `take` while the handler's write fails, because the pipe has no reader, and one afterwards.
fn taken_once() {
    let waker = pipe();
    let signals = owner(&waker, &[SIGUSR1]);
    waker.close();
    let thread = signal_in_a_thread(SIGUSR1, || ());
    let during = signals.take().contains(SIGUSR1);
    thread.join().unwrap_or_else(|_| wrong("a panic"));
    match (during, signals.take().contains(SIGUSR1)) {
        (true, true) => wrong("a signal came once, its write failed, and two calls of `take` returned it"),
        (false, false) => wrong("a signal came, its write failed, and no `take` returned it"),
        _ => {}
    }
}

/// A loop drains the waker and takes the signal. A handler that finds the bit clear, and so writes, comes after that drain.
fn drained() {
    let waker = Arc::new(pipe());
    let signals = owner(&waker, &[SIGUSR1]);
    installed(SIGUSR1)(SIGUSR1 as i32);
    waker.consume().unwrap_or_else(|error| wrong(&error.to_string()));
    let drained = loom::sync::Arc::new(AtomicBool::new(false));
    let (before, written, handler) = (drained.clone(), waker.clone(), installed(SIGUSR1));
    let thread = thread::spawn(move || {
        handler(SIGUSR1 as i32);
        let unseen = state(&*written) == "ready" && is_used() && !before.load(Relaxed);
        flush();
        unseen
    });
    // It stands for the drain.
    drained.store(true, Relaxed);
    signals.take();
    let unseen = thread.join().unwrap_or_else(|_| wrong("a panic"));
    // If the first `take` returned the signal of the thread, too, then its handler need not have written, but may.
    if unseen && signals.take().contains(SIGUSR1) {
        wrong("a handler wrote after a `take`, and what the loop did before that `take` was not visible");
    }
}

/// The number of the next duplicate.
fn next_number(waker: &Waker) -> RawFd {
    let next = cloexec::open::duplicate(waker.writer()).unwrap_or_else(|error| wrong(&error.to_string()));
    next.as_raw_fd()
}

fn pipe() -> Waker {
    Waker::new().unwrap_or_else(|error| wrong(&error.to_string()))
}
