//! `inherited WHAT`: signals that the process has blocked or ignored from the start, and what a child of fork inherits.

use std::error::Error;
use std::io::{PipeReader, PipeWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, c_int};
use nix::sys::pthread::pthread_self;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal::{self, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGKILL, SIGSEGV, SIGSYS};
use nix::sys::signal::Signal::{SIGTERM, SIGTRAP, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, kill, raise, sigaction, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork, getpid, read};
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
        "masks" => two_masks(),
        "refused" => refused(),
        "other-thread" => dropped_in_another_thread(),
        "later-thread" => dropped_in_a_later_thread(),
        "blocked-drop" => dropped_while_blocked(),
        "ignored" => ignored(),
        "faults" => faults(),
        "busy" => owned_again_while_a_handler_runs(),
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

/// Two owners with a blocked signal each, and other code that changes the mask meanwhile. Prints the mask after each drop.
fn two_masks() -> Outcome {
    let waker = pipe::Waker::new()?;
    block(&[SIGUSR1, SIGUSR2, SIGIO])?;
    let first = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let second = SignalWaker::new(waker.writer(), &[SIGUSR2, SIGCHLD])?;
    block(&[SIGTERM])?;
    SigSet::from(SIGIO).thread_unblock()?;
    drop(first);
    println!("first {}", mask()?);
    drop(second);
    println!("second {}", mask()?);
    Ok(())
}

/// Prints the mask after each `new` that fails.
fn refused() -> Outcome {
    let waker = pipe::Waker::new()?;
    let _owner = SignalWaker::new(waker.writer(), &[SIGUSR2])?;
    block(&[SIGUSR1, SIGUSR2, SIGTERM, SIGSEGV])?;
    for signals in [[SIGUSR1, SIGKILL], [SIGUSR1, SIGSEGV], [SIGUSR1, SIGUSR2], [SIGTERM, SIGTERM]] {
        let result = SignalWaker::new(waker.writer(), &signals).map(drop).map_err(|error| error.errno);
        println!("refused {result:?} {}", mask()?);
    }
    let none = with_no_descriptor(|| SignalWaker::new(waker.writer(), &[SIGUSR1, SIGTERM]))?;
    println!("none {:?} {}", none.map(drop).map_err(|error| error.errno), mask()?);
    println!("disposition {}", Disposition::of(SIGUSR1)?);
    println!("afterwards {:?}", SignalWaker::new(waker.writer(), &[SIGUSR1]).map(drop));
    Ok(())
}

fn with_no_descriptor<T>(work: impl FnOnce() -> T) -> nix::Result<T> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Above every number that is open, and above those from which duplicates begin.
    let lowest_free = nix::unistd::dup(std::io::stderr())?.as_raw_fd();
    setrlimit(Resource::RLIMIT_NOFILE, lowest_free.unsigned_abs().into(), hard)?;
    let done = work();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    Ok(done)
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

/// Drops the owner in a thread for which pthread_self(3) returns what it returned in the thread that made the owner, and that
/// has ended: the C library puts a new thread where an ended one was.
fn dropped_in_a_later_thread() -> Outcome {
    let waker = pipe::Waker::new()?;
    let made = thread::spawn(move || {
        let blocked = block(&[SIGUSR1]);
        (blocked, SignalWaker::new(waker.writer(), &[SIGUSR1]), pthread_self())
    });
    let (blocked, signals, ended) = made.join().map_err(|_| "the thread panicked")?;
    blocked?;
    let mut signals = signals?;
    for _ in 0..100 {
        let thread = thread::spawn(move || {
            if pthread_self() != ended {
                return Err(Box::new(signals));
            }
            drop(signals);
            Ok(mask())
        });
        match thread.join().map_err(|_| "the thread panicked")? {
            Ok(mask) => {
                println!("later {}", mask?);
                return Ok(());
            }
            Err(not_yet) => signals = *not_yet,
        }
    }
    println!("later unlike the ended one");
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
    println!("children {}", if Disposition::of(SIGCHLD)?.keeps_children() { "kept" } else { "changed" });
    drop(signals);
    println!("dropped {}", Disposition::of(SIGCHLD)?);
    Ok(())
}

fn faults() -> Outcome {
    let waker = pipe::Waker::new()?;
    let faults = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS];
    for fault in faults.into_iter().chain(faults) {
        match SignalWaker::new(waker.writer(), &[SIGUSR1, fault]) {
            Ok(_) => println!("result {fault} Ok"),
            Err(error) => println!("result {fault} {:?} {error}", error.errno),
        }
        println!("left {} {}", Disposition::of(fault)?, Disposition::of(SIGUSR1)?);
    }
    Ok(())
}

static HELD: AtomicBool = AtomicBool::new(false);
/// The read end of a pipe. A held handler goes on when a byte comes.
static GATE: AtomicI32 = AtomicI32::new(-1);

/// A thread whose handler waits for a byte in a pipe.
struct Held {
    thread: JoinHandle<nix::Result<()>>,
    _gate: PipeReader,
    opener: PipeWriter,
}

/// Starts a thread whose handler of SIGUSR1 is in its write: SIGIO interrupts it there, and waits.
fn start_a_handler_that_is_held(waker: &pipe::Waker) -> Result<Held, Box<dyn Error>> {
    extern "C" fn hold(_: c_int) {
        HELD.store(true, Ordering::SeqCst);
        // SAFETY: the caller keeps the pipe open until this thread has ended.
        let gate = unsafe { BorrowedFd::borrow_raw(GATE.load(Ordering::SeqCst)) };
        let _ = read(gate, &mut [0]);
    }
    let (gate, opener) = std::io::pipe()?;
    GATE.store(gate.as_raw_fd(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(hold), SaFlags::empty(), SigSet::empty());
    // SAFETY: `hold` only uses atomics and read(2).
    unsafe { sigaction(SIGIO, &action) }?;
    // SAFETY: the call takes three integers.
    Errno::result(unsafe { libc::fcntl(waker.as_fd().as_raw_fd(), libc::F_SETOWN, getpid()) })?;
    fcntl(waker, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_ASYNC))?;
    block(&[SIGIO])?;
    lets_sigio_interrupt(SIGUSR1)?;
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
    Ok(Held { thread, _gate: gate, opener })
}

/// A handler may block all signals while it runs. Installs it once more, so that it does not block SIGIO.
fn lets_sigio_interrupt(signal: Signal) -> nix::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null pointer as the new action, the call only writes the present action, to a local variable.
    Errno::result(unsafe { libc::sigaction(signal as c_int, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it wrote the action.
    let mut action = unsafe { action.assume_init() };
    // SAFETY: the mask is part of the action.
    unsafe { libc::sigdelset(&raw mut action.sa_mask, libc::SIGIO) };
    // SAFETY: the action was installed before, with another mask.
    Errno::result(unsafe { libc::sigaction(signal as c_int, &raw const action, ptr::null_mut()) }).map(drop)
}

/// Drops the owner in a thread, which waits for the handler, while another thread wants to own the signal. It may be refused, or
/// wait, too.
fn owned_again_while_a_handler_runs() -> Outcome {
    /// How long another owner may try meanwhile.
    const PATIENCE: Duration = Duration::from_millis(300);
    let waker = Arc::new(pipe::Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let Held { thread: handler, _gate, mut opener } = start_a_handler_that_is_held(&waker)?;
    let dropping = thread::spawn(move || drop(signals));
    let writer = Arc::clone(&waker);
    let (say, said) = mpsc::channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    // The next owner is returned, because dropping it would wait, too.
    let next = thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            if let Ok(next) = SignalWaker::new(writer.writer(), &[SIGUSR1]) {
                let _ = say.send(());
                return Some(next);
            }
            thread::yield_now();
        }
        None
    });
    let was_owned = said.recv_timeout(PATIENCE).is_ok();
    is_over.store(true, Ordering::SeqCst);
    opener.write_all(&[0])?;
    drop(next.join().map_err(|_| "the thread panicked")?);
    println!("while-a-handler-runs {}", if was_owned { "Ok" } else { "refused" });
    handler.join().map_err(|_| "the thread panicked")??;
    dropping.join().map_err(|_| "the thread panicked")?;
    println!("afterwards {:?}", SignalWaker::new(waker.writer(), &[SIGUSR1]).map(drop));
    Ok(())
}

/// Forks while the handler of another thread is in its write.
fn forked_while_a_handler_runs() -> Outcome {
    let waker = pipe::Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &[SIGUSR1])?;
    let Held { thread, _gate, mut opener } = start_a_handler_that_is_held(&waker)?;
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
            opener.write_all(&[0])?;
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
