//! `pass PROGRAM PLACES MOVES [ARGS]`: open descriptors at chosen numbers, start a program with some of them, wait
//! for it.
//!
//! PLACES is like `red@3 blue@4*`: a star means close-on-exec. MOVES is like `3>4 4>3`: from number to number.
//! `pass-signal NUMBER`: the same, for a process with a handler for that signal, which each child gets at once.
//! The program also gets this process's standard output and error, at 1 and 2; MOVES must not use those numbers. But if its
//! arguments are `inherited-to NUMBER`, it gets only the standard output, at that number.
//! `pass-ignoring-sigchld`: call `spawn` for a program that does not exist, in a process that ignores SIGCHLD.
//! The program `self` is this one, and `%` in the program's name or an argument stands for a NUL byte.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

use cloexec::pass;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, c_int};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getpid};
use testing::allocations::{self, Watched};
use testing::{HELPER, judged};

use super::support::helper::table;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["pass", program, places, moves, args @ ..] => pass(program, places, moves, args),
        ["pass-signal", number] => {
            signal_each_child(number).and_then(|()| pass("self", "", "", &["inherited"]))
        }
        ["pass-ignoring-sigchld"] => {
            ignore(Signal::SIGCHLD).and_then(|()| pass("/proc/self/no-such-program", "", "", &[]))
        }
        ["pass-beside-a-child"] => beside_a_child(),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Prints, after the program's own output: `allocated …`, `result …`, `status …`, `children …`, `mask …`, `table …` and `sigpipe …`; a
/// child that returns from `spawn` prints `escaped …`, and one that runs the caller's exit handlers `handlers …`.
fn pass(program: &str, places: &str, moves: &str, args: &[&str]) -> Result<(), String> {
    table::clean();
    let helper = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = match program {
        "self" => helper.clone(),
        other => PathBuf::from(other.replace('%', "\0")),
    };
    // There is a descriptor above 1023.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(2000)), hard).map_err(|e| e.to_string())?;
    let mut placed = Vec::new();
    for place in places.split_whitespace() {
        let (name, number) = place.split_once('@').ok_or("a place is like red@3")?;
        let bare = number.trim_end_matches('*').parse().map_err(|_| format!("{place} has no number"))?;
        placed.push(table::place(name, bare, number.ends_with('*')).map_err(|e| e.to_string())?);
    }
    let mut pairs: Vec<(RawFd, RawFd)> = Vec::new();
    for each in moves.split_whitespace() {
        let numbers =
            each.split_once('>').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        pairs.push(numbers.ok_or("a move is like 3>4")?);
    }
    // Copies from higher numbers, so that the program can print even if `spawn` cannot pass "1 where it is".
    let (output, errors) = (io::stdout(), io::stderr());
    let streams = match args {
        ["inherited-to", number] => vec![(output.as_fd(), number.parse().map_err(|_| "it is not a number")?)],
        _ => vec![(output.as_fd(), 1), (errors.as_fd(), 2)],
    };
    for (stream, number) in streams {
        let copy = fcntl(stream, FcntlArg::F_DUPFD_CLOEXEC(100)).map_err(|e| e.to_string())?;
        pairs.push((copy, number));
    }
    // SAFETY: each source is either owned by `placed` until the end, or a copy that stays open.
    let fds: Vec<(BorrowedFd<'_>, RawFd)> =
        pairs.iter().map(|(from, to)| (unsafe { BorrowedFd::borrow_raw(*from) }, *to)).collect();
    // `self` has to run as the helper too: see `testing`.
    let own = (program == helper).then(|| HELPER.to_owned());
    let args: Vec<String> = own.into_iter().chain(args.iter().map(|arg| arg.replace('%', "\0"))).collect();
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();

    // A Rust program ignores SIGPIPE, and a program that reads signals from a descriptor blocks them.
    testing::ignore_sigpipe();
    SigSet::from(Signal::SIGUSR1).thread_block().map_err(|e| e.to_string())?;
    for number in [Signal::SIGUSR2, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGXFSZ] {
        ignore(number)?;
    }
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGRTMIN() + 1, libc::SIG_IGN) };

    let (before, caller) = (table::open_now(), getpid());
    CALLER.store(caller.as_raw(), Relaxed);
    // SAFETY: the handler makes only system calls.
    unsafe { libc::atexit(exit_handler) };
    // SAFETY: the function makes one system call, and stores into an atomic.
    unsafe { libc::pthread_atfork(Some(before_the_fork), None, None) };
    let called = allocations::in_a_child(|| judged(|| pass::spawn(&program, &args, &fds)));
    let (result, allocated) = called.map_err(|error| error.to_string())?;
    if getpid() != caller {
        println!("escaped {result:?}");
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(99) }
    }
    println!("allocated {}", if allocated { "yes" } else { "no" });
    match result {
        Ok(pid) => {
            println!("result Ok");
            match waitpid(pid, None) {
                Ok(WaitStatus::Exited(_, code)) => println!("status exited with {code}"),
                Ok(WaitStatus::Signaled(_, signal, _)) => println!("status killed by {signal}"),
                other => println!("status {other:?}"),
            }
        }
        Err(error) => println!("result Err {:?} {error}", error.errno),
    }
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(nix::errno::Errno::ECHILD) => println!("children none"),
        Ok(WaitStatus::StillAlive) => println!("children running"),
        other => println!("children a zombie: {other:?}"),
    }
    let after = table::open_now();
    let mask = SigSet::thread_get_mask().map_err(|e| e.to_string())?;
    println!("mask {}", mask.iter().map(Signal::as_str).collect::<Vec<_>>().join(" "));
    println!("table {}", if before == after { "same".into() } else { changes(&before, &after) });
    println!("sigpipe {}", if ignores_sigpipe() && !WAS_RESET.load(Relaxed) { "ignored" } else { "reset" });
    Ok(())
}

/// Was SIGPIPE not ignored when the caller forked? Its other threads might have got one then.
static WAS_RESET: AtomicBool = AtomicBool::new(false);

extern "C" fn before_the_fork() {
    WAS_RESET.store(!ignores_sigpipe(), Relaxed);
}

fn ignores_sigpipe() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null pointer as the new action, the call only writes the present one, to a local variable.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: the call wrote it.
    asked && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn ignore(number: Signal) -> Result<(), String> {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(number, SigHandler::SigIgn) }.map(drop).map_err(|e| e.to_string())
}

/// The process that calls `spawn`.
static CALLER: AtomicI32 = AtomicI32::new(0);

/// Prints `handlers ran in the child` if another process than the caller runs it.
extern "C" fn exit_handler() {
    let line = b"handlers ran in the child\n";
    if getpid().as_raw() != CALLER.load(Relaxed) {
        // SAFETY: the pointer and the length describe the line.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    }
}

/// Installs a handler that prints `handled in the child`, and sends that signal to each child when its fork returns, by way
/// of pthread_atfork(3): between fork and exec.
fn signal_each_child(number: &str) -> Result<(), String> {
    static NUMBER: AtomicI32 = AtomicI32::new(0);
    extern "C" fn handler(_: c_int) {
        let line = b"handled in the child\n";
        // SAFETY: the pointer and the length describe the line.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    }
    extern "C" fn in_the_child() {
        // SAFETY: the call takes two integers.
        unsafe { libc::kill(getpid().as_raw(), NUMBER.load(Relaxed)) };
    }
    let number: c_int = number.parse().map_err(|_| format!("{number} is not a number"))?;
    NUMBER.store(number, Relaxed);
    // SAFETY: the handler makes one system call.
    let refused = unsafe { libc::signal(number, handler as *const () as usize) } == libc::SIG_ERR;
    // SAFETY: the function makes one system call.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) } != 0 || refused;
    if failed { Err(format!("signal {number} cannot have a handler")) } else { Ok(()) }
}

fn changes(before: &[table::Entry], after: &[table::Entry]) -> String {
    let words = |entry: &table::Entry| format!("{} ({}, {})", entry.number, entry.target, entry.state());
    let only_in = |one: &[table::Entry], other: &[table::Entry]| {
        one.iter().filter(|entry| !other.contains(entry)).map(words).collect::<Vec<_>>().join(", ")
    };
    format!("before: {}; now: {}", only_in(before, after), only_in(after, before))
}

/// A call that fails, in a process that has another child, which has exited with 7. Prints `other …`, that child's status.
fn beside_a_child() -> Result<(), String> {
    table::clean();
    // SAFETY: this process has one thread, and the child exits at once.
    let ForkResult::Parent { child } = unsafe { fork() }.map_err(|e| e.to_string())? else {
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(7) }
    };
    // SAFETY: the siginfo is a local variable, and any bytes are a valid one.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let exited = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: as above. It returns when the child has exited, and leaves the child to be waited for.
    unsafe { libc::waitid(libc::P_PID, child.as_raw().unsigned_abs(), &raw mut info, exited) };
    let failed = pass::spawn(&PathBuf::from("/proc/self/no-such-program"), &[], &[]).is_err();
    println!("failed {failed}");
    println!("other {:?}", waitpid(child, None).map(|status| status == WaitStatus::Exited(child, 7)));
    Ok(())
}
