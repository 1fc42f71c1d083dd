//! `signal WHAT`: signals that this process sends to itself, and what their owner sees.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::{SIGIO, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction};
use nix::unistd::{getpid, read, write};
use testing::judged;
use waker::signal::SignalWaker;
use waker::{eventfd, pipe};

use super::super::support::helper::outcome::{Outcome, state};
use super::allocations;
use super::stepper;

const KINDS: [Signal; 3] = [SIGUSR1, SIGUSR2, SIGTERM];

/// Prints what it saw; `took …` has the names of the signals that `take` returned.
pub fn run(what: &str) -> Outcome {
    match what {
        "kinds" => kinds(),
        "eventfd" => on_an_eventfd(),
        "other-thread" => in_another_thread(),
        "full" => full(),
        "many" => many(),
        "errno" => errno(),
        "allocations" => allocated(),
        "order" => order(),
        "stepped" => stepped(),
        "gone" => gone(),
        "unwritten" => unwritten(),
        "bytes" => bytes(),
        _ => Err(format!("no scenario is called {what}").into()),
    }
}

/// Names the signals of a set: `SIGUSR1 SIGTERM`, or `none`.
pub fn names(set: &SigSet) -> String {
    let names: Vec<_> = set.iter().map(Signal::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(" ") }
}

fn kinds() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    println!("took at first: {}", names(&signals.take()));
    for sent in [&KINDS[..1], &KINDS[1..2], &KINDS[2..], &[SIGUSR1, SIGTERM], &[SIGUSR1, SIGUSR1], &[SIGUSR1]]
    {
        sent.iter().try_for_each(|signal| raise(*signal))?;
        let sent: SigSet = sent.iter().copied().collect();
        println!("sent {}: {}", names(&sent), state(&waker));
        waker.consume()?;
        println!("took {}", names(&signals.take()));
        println!("then {} {}", names(&signals.take()), state(&waker));
    }
    Ok(())
}

fn on_an_eventfd() -> Outcome {
    let waker = eventfd::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    raise(SIGUSR1)?;
    println!("after {}", state(&waker));
    waker.consume()?;
    println!("took {}", names(&signals.take()));
    Ok(())
}

/// Prints the numbers that the handler wrote into a pipe.
fn bytes() -> Outcome {
    let waker = pipe::Waker::new()?;
    let _signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    raise(SIGUSR1)?;
    let mut buffer = [0; 64];
    let length = read(waker.as_fd(), &mut buffer)?;
    let (numbers, rest) = buffer[..length].as_chunks();
    let numbers: Vec<u64> = numbers.iter().copied().map(u64::from_ne_bytes).collect();
    println!("wrote {numbers:?}{}", if rest.is_empty() { "" } else { " and a part" });
    Ok(())
}

fn in_another_thread() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let thread = thread::spawn(|| raise(SIGUSR1));
    let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    waker.consume()?;
    println!("took {}", names(&signals.take()));
    thread.join().map_err(|_| "the thread panicked")??;
    Ok(())
}

fn fill(waker: &pipe::Waker) -> Outcome {
    while write(waker.writer(), &[0; 4096]).is_ok() {}
    Ok(waker.wake()?)
}

fn full() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    fill(&waker)?;
    raise(SIGUSR1)?;
    raise(SIGTERM)?;
    println!("after {}", state(&waker));
    waker.consume()?;
    println!("took {}", names(&signals.take()));
    Ok(())
}

/// Sends more signals of one kind than a pipe has bytes, without a `take`, and then one of another kind.
fn many() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    let flood = 1000 + capacity_of_shrunken_pipes();
    // kill(2) makes one system call, where raise(3) makes five. A process with one thread gets the signal before the
    // call returns.
    let own = getpid();
    (0..flood).try_for_each(|_| kill(own, SIGUSR1))?;
    kill(own, SIGUSR2)?;
    println!("flood {flood}");
    println!("after {}", state(&waker));
    waker.consume()?;
    println!("took {}", names(&signals.take()));
    println!("then {} {}", names(&signals.take()), state(&waker));
    Ok(())
}

/// Gives each pipe of this process the smallest capacity, so that a pipe in which the code under test keeps signals is full
/// after 4096 of them and not after 65,536. Returns the largest capacity then, in bytes.
fn capacity_of_shrunken_pipes() -> i32 {
    // SAFETY: the call takes three integers, and fails if the number is not open, or not a pipe.
    let shrink = |number| unsafe { libc::fcntl(number, libc::F_SETPIPE_SZ, 1) };
    (3..20).map(shrink).max().unwrap_or_default()
}

fn errno() -> Outcome {
    /// No system call ever sets this errno.
    const MINE: i32 = 4242;
    // Before the first call that fails, errno is 0.
    for before in [MINE, 0] {
        let waker = pipe::Waker::new()?;
        let _signals = SignalWaker::new(waker.writer(), &KINDS)?;
        let after = |signal| {
            Errno::set_raw(before);
            let sent = raise(signal);
            let errno = Errno::last_raw();
            sent.map(|()| if errno == before { "kept".into() } else { Errno::from_raw(errno).to_string() })
        };
        println!("room {}", after(SIGUSR1)?);
        fill(&waker)?;
        println!("full {}", after(SIGUSR2)?);
        waker.close();
        println!("closed {}", after(SIGTERM)?);
    }
    Ok(())
}

fn allocated() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    let before = allocations::so_far();
    // Enough for a vector to outgrow its capacity.
    for _ in 0..100 {
        raise(SIGUSR1)?;
        raise(SIGTERM)?;
    }
    println!("allocations {}", allocations::so_far() - before);
    waker.consume()?;
    println!("took {}", names(&signals.take()));
    Ok(())
}

/// Calls `take` at the moment of the first byte: SIGIO reports the byte, and interrupts the handler's write.
fn order() -> Outcome {
    static SIGNALS: OnceLock<SignalWaker> = OnceLock::new();
    static SEEN: AtomicU32 = AtomicU32::new(u32::MAX);
    extern "C" fn look(_: c_int) {
        let here = SIGNALS.get().is_some_and(|signals| signals.take().contains(SIGUSR1));
        let _ = SEEN.compare_exchange(u32::MAX, here.into(), Ordering::SeqCst, Ordering::SeqCst);
    }
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let signals = SIGNALS.get_or_init(|| signals);
    let action = SigAction::new(SigHandler::Handler(look), SaFlags::empty(), SigSet::empty());
    // SAFETY: `look` is safe in a handler as long as `take` only uses atomics.
    unsafe { sigaction(SIGIO, &action) }?;
    // SAFETY: the call takes three integers.
    Errno::result(unsafe { libc::fcntl(waker.as_fd().as_raw_fd(), libc::F_SETOWN, getpid()) })?;
    fcntl(&waker, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_ASYNC))?;
    raise(SIGUSR1)?;
    println!("seen {}", SEEN.load(Ordering::SeqCst));
    println!("left {}", names(&signals.take()));
    Ok(())
}

/// For the stepper, which sends a SIGUSR1 in the middle of each round except the first.
fn stepped() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1, SIGUSR2])?;
    for round in 0..=stepper::ROUNDS {
        let during = judged(|| signals.take());
        let woken = state(&waker);
        waker.consume()?;
        let after = signals.take();
        if round > 0 && !during.contains(SIGUSR1) && !after.contains(SIGUSR1) {
            println!("lost in round {round}");
        }
        if round > 0 && woken == "silent" {
            println!("asleep in round {round}");
        }
    }
    println!("rounds {}", stepper::ROUNDS);
    Ok(())
}

/// Closes the pipe's read end while the signals have an owner.
fn gone() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    waker.close();
    raise(SIGUSR1)?;
    println!("took {}", names(&signals.take()));
    Ok(())
}

/// Lets writes of the handler fail: the pipe has no reader for a while.
fn unwritten() -> Outcome {
    let (lost, other) = (pipe::Waker::new()?, pipe::Waker::new()?);
    let write_end = lost.writer().try_clone_to_owned()?;
    let signals = SignalWaker::new(&write_end, &[SIGUSR1, SIGUSR2])?;
    let others = SignalWaker::new(other.writer(), &[SIGTERM])?;
    lost.close();
    raise(SIGUSR1)?;
    raise(SIGUSR2)?;
    println!("other {}", names(&others.take()));
    // Opening a pipe anew gives it a reader again: see proc_pid_fd(5).
    let reader = File::open(format!("/proc/self/fd/{}", write_end.as_raw_fd()))?;
    for signal in [SIGUSR2, SIGUSR1] {
        raise(signal)?;
        let next = state(&reader);
        println!("next {next}");
        if next == "ready" {
            read(&reader, &mut [0; 64])?;
        }
    }
    println!("took {}", names(&signals.take()));
    println!("then {}", names(&signals.take()));
    drop(reader);
    raise(SIGUSR1)?;
    println!("other {}", names(&others.take()));
    println!("kept {}", names(&signals.take()));
    raise(SIGUSR2)?;
    drop(signals);
    println!("stale {}", names(&SignalWaker::new(&write_end, &[SIGUSR2])?.take()));
    Ok(())
}
