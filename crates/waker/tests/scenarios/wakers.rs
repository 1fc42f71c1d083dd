//! `waker KIND WHAT`: what one waker of that kind does.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testing::judged;
use waker::coalesced::Coalesced;
use waker::{Wake, eventfd, pipe};

use super::support::contract;
use super::support::helper::outcome::{Outcome, state};

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["waker", kind, what] => on(kind, what),
        _ => Err(format!("no scenario is called {scenario:?}").into()),
    })
}

/// Prints what it saw: `errors …`, `queued …` (in bytes), `before …`, `after …`, `descriptors …`.
fn on(kind: &str, what: &str) -> Outcome {
    match kind {
        "pipe" if what == "end-of-file" => end_of_file(),
        "pipe" => with(pipe::Waker::new, pipe::Waker::close, what),
        "eventfd" => with(eventfd::Waker::new, eventfd::Waker::close, what),
        "coalesced" => with(|| pipe::Waker::new().map(Coalesced::new), drop, what),
        _ => Err(format!("no waker is called {kind}").into()),
    }
}

fn with<W: Wake + AsFd>(new: impl Fn() -> waker::Result<W>, close: impl Fn(W), what: &str) -> Outcome {
    match what {
        "storm" => storm(&new()?),
        "leaks" => leaks(new, close),
        "no-numbers" => no_numbers(new),
        "calls-of-a-wake" => calls_of_wakes(&new()?, 1),
        "calls-of-wakes" => calls_of_wakes(&new()?, 1000),
        "calls-of-new" => Ok(judged(new).map(drop)?),
        "calls-of-consume" => calls_of_consume(&new()?, false),
        "calls-of-consume-when-full" => calls_of_consume(&new()?, true),
        _ => Err(format!("no scenario is called {what}").into()),
    }
}

/// Closes the write end without the waker's knowledge, and consumes twice: the second time, there is only end of file.
fn end_of_file() -> Outcome {
    let waker = pipe::Waker::new()?;
    waker.wake()?;
    contract::replace(waker.writer(), &File::open("/dev/null")?.into());
    let result = judged(|| waker.consume().and_then(|()| waker.consume()));
    println!("consumed {result:?}");
    Ok(())
}

fn calls_of_consume(waker: &(impl Wake + AsFd), full: bool) -> Outcome {
    if full {
        leave_room(waker, 0)?;
    }
    waker.wake()?;
    match judged(|| waker.consume()) {
        Ok(()) => println!("after {}", state(waker)),
        Err(error) => println!("after an error: {error}"),
    }
    Ok(())
}

fn calls_of_wakes(waker: &(impl Wake + AsFd), wakes: usize) -> Outcome {
    judged(|| (0..wakes).try_for_each(|_| waker.wake()))?;
    println!("before {}", state(waker));
    Ok(())
}

/// How many times a waker is woken without a read.
const WAKES: usize = 10_000;

/// Wakes a nearly full waker without a read.
fn storm(waker: &(impl Wake + AsFd)) -> Outcome {
    leave_room(waker, WAKES / 2)?;
    let errors: Vec<_> = (0..WAKES).filter_map(|_| waker.wake().err()).collect();
    println!("errors {} {}", errors.len(), errors.first().map_or(String::new(), ToString::to_string));
    println!("queued {}", queued(waker));
    println!("before {}", state(waker));
    waker.consume()?;
    println!("after {}", state(waker));
    waker.wake()?;
    println!("again {}", state(waker));
    Ok(())
}

/// Writes to a waker's pipe until there is room for this many bytes: a wake for each byte of it would take longer than all
/// other tests. An eventfd has as much room as it needs.
fn leave_room(waker: impl AsFd, room: usize) -> Outcome {
    let Ok(capacity) = fcntl(&waker, FcntlArg::F_GETPIPE_SZ) else { return Ok(()) };
    let pipe = format!("/proc/self/fd/{}", waker.as_fd().as_raw_fd());
    let bytes = usize::try_from(capacity)?.saturating_sub(room);
    Ok(File::options().write(true).open(pipe)?.write_all(&vec![0; bytes])?)
}

/// Returns how many bytes are in the pipe. Returns 0 for an eventfd, which does not have FIONREAD.
pub fn queued(fd: impl AsFd) -> i32 {
    let mut bytes = 0;
    // SAFETY: FIONREAD writes one `int`, through a pointer to a local variable.
    let answer = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if answer == 0 { bytes } else { 0 }
}

/// Closes one waker and drops another, and counts descriptors.
fn leaks<W: Wake + AsFd>(new: impl Fn() -> waker::Result<W>, close: impl Fn(W)) -> Outcome {
    let before = descriptors()?;
    let one = new()?;
    println!("descriptors-each {}", descriptors()? - before);
    close(one);
    println!("descriptors-closed {}", descriptors()? - before);
    drop(new()?);
    println!("descriptors-dropped {}", descriptors()? - before);
    Ok(())
}

/// Counts the open descriptors, always including the one that reads the directory.
fn descriptors() -> std::io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// Makes a waker while the process has no free descriptor.
fn no_numbers<W>(new: impl Fn() -> waker::Result<W>) -> Outcome {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard)?;
    match new() {
        Ok(_) => println!("result Ok"),
        Err(error) => println!("result Err {:?}", error.errno),
    }
    Ok(())
}
