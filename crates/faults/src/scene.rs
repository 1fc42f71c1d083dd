//! What every operation does around its system calls, and what it prints about them, a line for each thing.
//!
//! - `ok`, or `error TEXT`: what the operation returned, or what the loop reported;
//! - `lost TEXT`: something that must hold whatever failed, and does not;
//! - `panic TEXT`, `left TEXT`: a panic; a descriptor, a child or a changed signal mask;
//! - `done` at the end. An operation without it was killed, or hung.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicI32, Ordering};
use std::{fs, io};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::alarm;

pub use testing::judged;

use crate::Fault;

/// The time limit of an operation, in seconds: it takes milliseconds.
const LIMIT: u32 = 5;

/// The exit code of an operation that did not end.
pub const HUNG: i32 = 3;

/// The errno of the call that fails; 0 without a fault.
static FAILING: AtomicI32 = AtomicI32::new(0);

/// The errno of the call that fails, or has failed.
pub fn failing() -> Option<Errno> {
    Some(FAILING.load(Ordering::Relaxed)).filter(|errno| *errno != 0).map(Errno::from_raw)
}

/// Run an operation in this process, which has one thread, and say what it left behind.
///
/// # Panics
/// Without /proc, or if the handler of SIGALRM cannot be installed.
pub fn run(fault: Option<&Fault>, operation: impl FnOnce()) -> i32 {
    FAILING.store(fault.map_or(0, |fault| fault.errno as i32), Ordering::Relaxed);
    set_hook(Box::new(|panic| println!("panic {}", one_line(panic))));
    // Rust's runtime does this before `main`, which a helper never reaches.
    testing::ignore_sigpipe();
    let action = SigAction::new(SigHandler::Handler(hung), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only ends the process.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("SIGALRM can be handled");
    alarm::set(LIMIT);
    let (blocked, before) = (blocked(), descriptors().expect("the tests need /proc"));
    let _ = catch_unwind(AssertUnwindSafe(operation));
    for (number, file) in descriptors().expect("the tests need /proc") {
        if before.get(&number) != Some(&file) {
            println!("left descriptor {number} ({file})");
        }
    }
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(Errno::ECHILD) => {}
        Ok(WaitStatus::StillAlive) => println!("left a child that runs"),
        status => println!("left a zombie: {status:?}"),
    }
    if self::blocked() != blocked {
        println!("left {:?} blocked", self::blocked());
    }
    println!("done");
    0
}

extern "C" fn hung(_: c_int) {
    // SAFETY: it ends the process.
    unsafe { libc::_exit(HUNG) }
}

/// Say what the operation returned. After an error, do it `again` while no call fails: then it must work.
pub fn or_again<T, E: Display>(first: Result<T, E>, again: impl FnOnce() -> Result<T, E>) -> Option<T> {
    match first {
        Ok(value) => {
            println!("ok");
            Some(value)
        }
        Err(error) => {
            println!("error {}", one_line(error));
            again().map_err(|error| println!("lost: the second try fails too: {}", one_line(error))).ok()
        }
    }
}

/// Say what the operation returned, if there is nothing to do again.
pub fn returned<T, E: Display>(value: Result<T, E>) -> Option<T> {
    value.inspect(|_| println!("ok")).map_err(|error| println!("error {}", one_line(error))).ok()
}

/// Something must hold, whatever failed.
pub fn must_hold(what: &str, holds: bool) {
    if !holds {
        println!("lost: {what}");
    }
}

/// What the preparation of an operation made, before any call fails.
///
/// # Panics
/// If it was not made.
pub fn made<T, E: Display>(made: Result<T, E>) -> T {
    made.unwrap_or_else(|error| panic!("the preparation failed: {error}"))
}

/// A text on one line.
pub fn one_line(text: impl Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The signals that are blocked.
fn blocked() -> Vec<Signal> {
    SigSet::thread_get_mask().map_or(vec![], |mask| mask.iter().collect())
}

/// The open descriptors and their files.
fn descriptors() -> io::Result<BTreeMap<RawFd, String>> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        if let (Some(number), Ok(file)) = (entry.file_name().to_str(), fs::read_link(entry.path())) {
            open.extend(number.parse().ok().map(|number| (number, file.to_string_lossy().into_owned())));
        }
    }
    // The one that the folder was read with.
    open.retain(|_, file| !file.ends_with("/fd"));
    Ok(open)
}
