//! What a test program does before its `main`: it is the helper, if that is what it was started as.

use std::env;
use std::panic::catch_unwind;
use std::process::exit;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::alarm;

/// The first argument of a test program that is to be the helper. libtest knows no such option.
pub const HELPER: &str = "--helper";

/// The exit code of a helper that was not permitted what it was asked for: tracing, say.
pub const REFUSED: i32 = 77;

/// In seconds. Nothing that is asked of a helper takes that long, unless it waits for what never comes. It is
/// shorter than the patience of `workbook check`, so that a test can say which helper it was.
const HUNG: u32 = 8;

/// A limit that nothing here depends on, since no test has message queues: set to this, it marks a helper and all
/// that descends from it, through fork and exec, whatever becomes of arguments and environment.
const MARK: (Resource, u64) = (Resource::RLIMIT_MSGQUEUE, 4242);

/// What a test program does before its `main`: see [`helper!`](crate::helper).
pub fn before_main(answer: fn(&[&str]) -> i32) {
    // Miri starts no process, so there is no helper; and it has no limits to be asked for.
    if cfg!(miri) {
        return;
    }
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let limit = getrlimit(MARK.0);
    let Some((&HELPER, args)) = args.split_first() else {
        // All tests would run in here, start their helpers, and so on without end.
        if limit.is_ok_and(|(soft, _)| soft == MARK.1) {
            eprintln!("a program was started without the arguments that were meant for it: {args:?}");
            exit(2);
        }
        return;
    };
    if limit.and_then(|(_, hard)| setrlimit(MARK.0, MARK.1, hard)).is_err() {
        eprintln!("a helper cannot be marked: RLIMIT_MSGQUEUE cannot be set to {}", MARK.1);
        exit(1);
    }
    alarm::set(HUNG);
    // What is started in the background of a script, or with nohup, ignores these, and all that it starts does.
    for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        // SAFETY: the default disposition runs no code of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigDfl) };
    }
    // A panic must not cross into the C runtime; it ends the program as it would end any other in Rust.
    exit(catch_unwind(|| answer(args)).unwrap_or(101));
}

/// For a helper that has come on, and whose work is long: its alarm goes off that much later.
pub fn comes_on() {
    alarm::set(HUNG);
}
