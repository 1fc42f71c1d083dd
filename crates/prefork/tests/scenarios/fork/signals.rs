//! Signal handlers and masks in parent and child, and signals that arrive during a fork.

use std::fs;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc::{self, c_int};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::getpid;

use super::super::support::helper::children::left;
use super::at_fork::AtFork;
use super::{error, fork, fork_and_wait, say, words};

extern "C" fn nothing(_: c_int) {}

/// Set a handler, `SIG_IGN` or `SIG_DFL` for a signal.
fn handle(number: c_int, handler: libc::sighandler_t) {
    // SAFETY: the handlers here only do what is async-signal-safe.
    unsafe { libc::signal(number, handler) };
}

/// The masks in /proc/self/status: `SigBlk:0000 SigIgn:0000 SigCgt:0000`.
fn masks() -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks =
        text.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|s| line.starts_with(s)));
    masks.map(|line| line.replace('\t', "")).collect::<Vec<_>>().join(" ")
}

/// Fork a process that handles nearly every signal, ignores four and blocks four.
pub fn dispositions() {
    // Skip SIGALRM (14), which ends a helper that hangs; 9 and 19, which cannot be handled; and 32 and 33, which the C
    // library uses itself.
    for number in (1..=libc::SIGRTMAX()).filter(|number| ![9, 14, 19, 32, 33].contains(number)) {
        handle(number, nothing as *const () as libc::sighandler_t);
    }
    // Not SIGHUP: it is the lowest number, at which a loop over all signals may be off by one.
    for number in [libc::SIGTTIN, libc::SIGPIPE, libc::SIGTSTP, libc::SIGRTMIN() + 4] {
        handle(number, libc::SIG_IGN);
    }
    let mut blocked = SigSet::empty();
    for number in [Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGSEGV] {
        blocked.add(number);
    }
    blocked.thread_set_mask().expect("a mask can be set");
    println!("before {}", masks());
    let status = fork_and_wait(|| {
        say(&format!("child {}", masks()));
        0
    });
    println!("after {}", masks());
    println!("status {status}");
}

/// The process that has set the handler.
static PARENT: AtomicI32 = AtomicI32::new(0);
static SENT: AtomicI32 = AtomicI32::new(0);

/// Signal parent and child, as a signal to their process group would, when the child has run none of its own code yet.
pub fn during_fork(kind: &str) {
    extern "C" fn handled(_: c_int) {
        let parent = PARENT.load(Ordering::Relaxed) == getpid().as_raw();
        say(if parent { "handled in the parent" } else { "handled in the child" });
    }
    fn send() {
        // SAFETY: the call takes two integers, and signals this process.
        unsafe { libc::kill(getpid().as_raw(), SENT.load(Ordering::Relaxed)) };
    }
    let number = if kind == "real-time" { libc::SIGRTMIN() + 2 } else { libc::SIGTERM };
    PARENT.store(getpid().as_raw(), Ordering::Relaxed);
    SENT.store(number, Ordering::Relaxed);
    handle(number, handled as *const () as libc::sighandler_t);
    let _ = SigSet::empty().thread_set_mask();
    AtFork { before: None, parent: Some(send), child: Some(send) }.register();
    println!("number {number}");
    println!("status {}", fork_and_wait(|| 0));
}

/// The parent's SIGCHLD handler waits for any child, and the child exits before fork(3) returns in the parent.
pub fn reaped_by_a_handler() {
    extern "C" fn reap(_: c_int) {
        // SAFETY: a null pointer means that the status is not needed.
        let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        say(if child > 0 { "reaped one" } else { "reaped none" });
    }
    fn await_exit() {
        // SAFETY: all zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes one siginfo_t, and `info` has room for it.
        unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    }
    handle(libc::SIGCHLD, reap as *const () as libc::sighandler_t);
    let _ = SigSet::empty().thread_set_mask();
    AtFork { before: None, parent: Some(await_exit), child: None }.register();
    match fork(|| 0) {
        Ok(mut child) => {
            println!("held yes");
            println!("waited {}", words(child.wait()));
        }
        Err(failed) => println!("held {}", error(failed)),
    }
}

/// Fork while SIGCHLD is ignored, so that the kernel would reap the child itself.
pub fn sigchld_ignored(how: &str) {
    match how {
        // SAFETY: ignoring a signal runs no code.
        "ignored" => drop(unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }),
        _ => {
            // SAFETY: all zeros are a valid sigaction: the default action, without flags.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_flags = libc::SA_NOCLDWAIT;
            // SAFETY: the default action runs no code, and a null pointer means that the old action is not needed.
            unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) };
        }
    }
    let result = fork(|| {
        say("the child ran");
        0
    });
    println!("result {}", result.map_or_else(error, |_| "Ok".into()));
    println!("children {}", left());
}
