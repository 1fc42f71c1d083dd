//! `inherited WHAT`: signals that the process has blocked or ignored from the start, and what a child of fork inherits.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, c_int};
use nix::sys::signal::Signal::{self, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGKILL, SIGSEGV, SIGSYS};
use nix::sys::signal::Signal::{SIGTERM, SIGTRAP, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, kill, raise, sigaction, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork, getpid};
use testing::judged;
use waker::pipe;
use waker::signal::SignalWaker;

use super::super::support::helper::outcome::{Outcome, state};
use super::disposition::Disposition;
use super::sent::names;

/// Prints what it saw.
pub fn run(what: &str) -> Outcome {
    match what {
        "blocked" => blocked(),
        "other-thread" => dropped_in_another_thread(),
        "blocked-drop" => dropped_while_blocked(),
        "ignored" => ignored(),
        "faults" => faults(),
        "fork" => forked_while_a_handler_runs(),
        _ => Err(format!("no scenario is called {what}").into()),
    }
}

/// This thread's mask, in words.
fn mask() -> nix::Result<String> {
    SigSet::thread_get_mask().map(|mask| names(&mask))
}

fn block(signals: &[Signal]) -> nix::Result<()> {
    signals.iter().copied().collect::<SigSet>().thread_block()
}

fn blocked() -> Outcome {
    let waker = pipe::Waker::new()?;
    block(&[SIGUSR1, SIGUSR2, SIGTERM])?;
    raise(SIGTERM)?;
    let refused = SignalWaker::new(waker.writer(), &[SIGUSR1, SIGKILL]).is_err();
    println!("refused {refused} {}", mask()?);
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1, SIGTERM])?;
    println!("mask {}", mask()?);
    let ready = state(&waker);
    println!("pending {} {ready}", names(&signals.take()));
    waker.consume()?;
    kill(getpid(), SIGUSR1)?;
    let ready = state(&waker);
    println!("sent {} {ready}", names(&signals.take()));
    drop(signals);
    println!("dropped {}", mask()?);
    Ok(())
}

fn dropped_in_another_thread() -> Outcome {
    let waker = pipe::Waker::new()?;
    block(&[SIGUSR1])?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let thread = thread::spawn(move || {
        drop(signals);
        mask()
    });
    println!("there {}", thread.join().map_err(|_| "the thread panicked")??);
    println!("here {}", mask()?);
    Ok(())
}

/// For the tracer, which shows the calls of `drop`.
fn dropped_while_blocked() -> Outcome {
    let waker = pipe::Waker::new()?;
    block(&[SIGTERM])?;
    let signals = SignalWaker::new(waker.writer(), &[SIGTERM])?;
    judged(|| drop(signals));
    Ok(())
}

fn ignored() -> Outcome {
    let waker = pipe::Waker::new()?;
    // SAFETY: an ignored signal runs no handler.
    unsafe { signal(SIGCHLD, SigHandler::SigIgn) }?;
    let signals = SignalWaker::new(waker.writer(), &[SIGCHLD])?;
    raise(SIGCHLD)?;
    let ready = state(&waker);
    println!("sent {} {ready}", names(&signals.take()));
    drop(signals);
    println!("dropped {}", Disposition::of(SIGCHLD)?);
    Ok(())
}

fn faults() -> Outcome {
    let waker = pipe::Waker::new()?;
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS] {
        match SignalWaker::new(waker.writer(), &[SIGUSR1, fault]) {
            Ok(_) => println!("result {fault} Ok"),
            Err(error) => println!("result {fault} {:?} {error}", error.errno),
        }
        println!("left {} {}", Disposition::of(fault)?, Disposition::of(SIGUSR1)?);
    }
    Ok(())
}

/// Forks while the handler of another thread is in its write: SIGIO interrupts it there, and waits.
fn forked_while_a_handler_runs() -> Outcome {
    static HELD: AtomicBool = AtomicBool::new(false);
    static RELEASED: AtomicBool = AtomicBool::new(false);
    extern "C" fn hold(_: c_int) {
        HELD.store(true, Ordering::SeqCst);
        while !RELEASED.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let action = SigAction::new(SigHandler::Handler(hold), SaFlags::empty(), SigSet::empty());
    // SAFETY: `hold` only uses atomics and sched_yield.
    unsafe { sigaction(SIGIO, &action) }?;
    // SAFETY: the call takes three integers.
    Errno::result(unsafe { libc::fcntl(waker.as_fd().as_raw_fd(), libc::F_SETOWN, getpid()) })?;
    fcntl(&waker, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_ASYNC))?;
    block(&[SIGIO])?;
    let thread = thread::spawn(|| {
        SigSet::from(SIGIO).thread_unblock()?;
        raise(SIGUSR1)
    });
    while !HELD.load(Ordering::SeqCst) {
        if thread.is_finished() {
            return Err("the handler wrote nothing that SIGIO could report".into());
        }
        thread::yield_now();
    }
    let mut signals = Some(signals);
    // SAFETY: this process has no third thread, the second one holds no lock, and the child ends with `_exit`.
    match unsafe { fork() }? {
        ForkResult::Child => {
            alarm::set(3);
            drop(signals.take());
            // A new owner, of this process's own.
            let made = SignalWaker::new(waker.writer(), &[SIGUSR1]).map(drop).is_ok();
            // SAFETY: `_exit` has no preconditions.
            unsafe { libc::_exit(i32::from(!made)) }
        }
        ForkResult::Parent { child } => {
            let status = waitpid(child, None);
            RELEASED.store(true, Ordering::SeqCst);
            match status? {
                WaitStatus::Exited(_, code) => println!("child exited with {code}"),
                WaitStatus::Signaled(_, signal, _) => println!("child was killed by {signal}"),
                other => println!("child {other:?}"),
            }
        }
    }
    thread.join().map_err(|_| "the thread panicked")??;
    Ok(())
}
