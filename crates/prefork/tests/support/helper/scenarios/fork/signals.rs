//! Handlers and masks, on either side, and signals that come in between.

use std::fs;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc::{self, c_int};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::getpid;

use super::super::super::children::left;
use super::at_fork::AtFork;
use super::{error, fork, fork_and_wait, say, words};

extern "C" fn nothing(_: c_int) {}

/// Have that handler, or `SIG_IGN`, or `SIG_DFL`.
fn handle(number: c_int, handler: libc::sighandler_t) {
    // SAFETY: the handlers here make system calls, and nothing else that they may not do at any moment.
    unsafe { libc::signal(number, handler) };
}

/// `SigBlk:0000 SigIgn:0000 SigCgt:0000`, as /proc has it.
fn masks() -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks =
        text.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|s| line.starts_with(s)));
    masks.map(|line| line.replace('\t', "")).collect::<Vec<_>>().join(" ")
}

/// A process in which nearly every signal is handled, four are ignored and four are blocked.
pub fn dispositions() {
    // SIGALRM ends a helper that hangs; 9 and 19 nobody can handle, and 32 and 33 are the C library's own.
    for number in (1..=libc::SIGRTMAX()).filter(|number| ![9, 14, 19, 32, 33].contains(number)) {
        handle(number, nothing as *const () as libc::sighandler_t);
    }
    for number in [libc::SIGHUP, libc::SIGPIPE, libc::SIGTSTP, libc::SIGRTMIN() + 4] {
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

/// The process whose handler it is.
static PARENT: AtomicI32 = AtomicI32::new(0);
static SENT: AtomicI32 = AtomicI32::new(0);

/// A signal to both, as one to their group, when the child is there and has done nothing yet.
pub fn at_the_fork(kind: &str) {
    extern "C" fn told(_: c_int) {
        let parent = PARENT.load(Ordering::Relaxed) == getpid().as_raw();
        say(if parent { "handled in the parent" } else { "handled in the child" });
    }
    fn send() {
        // SAFETY: the call takes two integers, and the process is this one.
        unsafe { libc::kill(getpid().as_raw(), SENT.load(Ordering::Relaxed)) };
    }
    let number = if kind == "real-time" { libc::SIGRTMIN() + 2 } else { libc::SIGTERM };
    PARENT.store(getpid().as_raw(), Ordering::Relaxed);
    SENT.store(number, Ordering::Relaxed);
    handle(number, told as *const () as libc::sighandler_t);
    let _ = SigSet::empty().thread_set_mask();
    AtFork { before: None, parent: Some(send), child: Some(send) }.register();
    println!("number {number}");
    println!("status {}", fork_and_wait(|| 0));
}

/// A handler of SIGCHLD that waits for any child; the child has ended before the fork comes back in the parent.
pub fn reaped_by_a_handler() {
    extern "C" fn reap(_: c_int) {
        // SAFETY: a null pointer stands for no interest in what became of it.
        let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        say(if child > 0 { "reaped one" } else { "reaped none" });
    }
    fn await_the_end() {
        // SAFETY: zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes one siginfo_t, to the one that it is given a pointer to.
        unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOWAIT) };
    }
    handle(libc::SIGCHLD, reap as *const () as libc::sighandler_t);
    let _ = SigSet::empty().thread_set_mask();
    AtFork { before: None, parent: Some(await_the_end), child: None }.register();
    match fork(|| 0) {
        Ok(mut child) => {
            println!("held yes");
            println!("waited {}", words(child.wait()));
        }
        Err(failed) => println!("held {}", error(failed)),
    }
}

/// The kernel reaps children by itself.
pub fn sigchld_ignored(how: &str) {
    match how {
        // SAFETY: ignoring a signal runs no code.
        "ignored" => drop(unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }),
        _ => {
            // SAFETY: zeros are a valid sigaction: the default, without flags.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_flags = libc::SA_NOCLDWAIT;
            // SAFETY: the default runs no code, and a null pointer asks for nothing.
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
