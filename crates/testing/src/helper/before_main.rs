//! What a test program does before its `main`: it is the helper, if that is what it was started as.

use std::env;
use std::panic::catch_unwind;
use std::process::exit;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::alarm;

use crate::{machine, skip};

/// The first argument that makes a test program the helper. libtest has no such option.
pub const HELPER: &str = "--helper";

/// The exit code of a helper that is not permitted to do what its arguments say: to trace, for example.
pub const REFUSED: i32 = 77;

/// The time limit of a helper, in seconds. No helper takes that long, unless it waits for something that never comes.
/// `workbook check` waits longer, so that a test can say which helper hung. Where all programs are slow, [`patience`] is the
/// limit.
const HUNG: u32 = 8;

/// A limit on which nothing here depends, because no test has message queues. Set to this value, it marks a helper and
/// all its descendants, across fork and exec, whatever their arguments and environment.
const MARK: (Resource, rlim_t) = (Resource::RLIMIT_MSGQUEUE, 4242);

/// Take back what was inherited: ignored signals, and blocked ones. What a script starts in the background ignores SIGINT;
/// other parents ignore SIGCHLD, so that no test could wait for a child, or block signals, which would never come. Under
/// nohup, SIGHUP stays ignored, because that was meant.
///
/// Rust's runtime ignores SIGPIPE after this, in a program that reaches its `main`.
pub fn default_signals() {
    for inherited in (1..=libc::SIGRTMAX()).filter(|signal| *signal != libc::SIGHUP) {
        // SAFETY: the default disposition runs no code of ours. A signal that has no other is refused.
        unsafe { libc::signal(inherited, libc::SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// What every test program does first: it begins with default signals, and where there is no /proc, it
/// skips all of its tests, because most of them look there for what the code under test did.
pub fn begin() {
    // Miri has no signals of this kind, and no /proc.
    if cfg!(miri) {
        return;
    }
    default_signals();
    let is_asked_for_names = env::args().any(|arg| arg == "--list");
    if !is_asked_for_names && let Err(reason) = machine::proc() {
        skip::all(reason);
        exit(0);
    }
}

/// Begin, and be the helper, if the arguments say so; else return. See [`helper!`](crate::helper).
pub fn before_main(answer: fn(&[&str]) -> i32) {
    // Miri cannot start processes, so it has no helper, and it has no resource limits.
    if cfg!(miri) {
        return;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let limit = getrlimit(MARK.0);
    let Some((&HELPER, args)) = args.split_first() else {
        // All tests would run here and start their helpers, which would do the same, without end.
        if limit.is_ok_and(|(soft, _)| soft == MARK.1) {
            eprintln!("a helper started a program without the arguments that were meant for it: {args:?}");
            exit(2);
        }
        return begin();
    };
    // A program that a helper started keeps what it inherited, which may be what the test asks about.
    if limit.is_ok_and(|(soft, _)| soft != MARK.1) {
        default_signals();
    }
    if limit.and_then(|(_, hard)| setrlimit(MARK.0, MARK.1, hard)).is_err() {
        eprintln!("a helper cannot be marked: RLIMIT_MSGQUEUE cannot be set to {}", MARK.1);
        exit(1);
    }
    alarm::set(time_limit());
    // A scenario begins with this one, too.
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) };
    // A panic must not unwind into the C runtime; it ends the program with the same code as any Rust program.
    exit(catch_unwind(|| answer(args)).unwrap_or(101));
}

/// In a helper whose work is long and that has made progress: start its time limit anew.
pub fn comes_on() {
    alarm::set(time_limit());
}

fn time_limit() -> u32 {
    patience().unwrap_or(HUNG)
}

/// How long a test may wait where all programs are slow, as under valgrind or in an emulated machine: the environment variable
/// PATIENCE, in seconds.
pub fn patience() -> Option<u32> {
    env::var("PATIENCE").ok().and_then(|seconds| seconds.parse().ok())
}
