//! `status WHAT`: children that exit, are killed, stopped or traced, and what the code under test says of them.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::libc::{self, c_int};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::prctl;
use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, alarm, getpgrp, getpid, getppid};
use prefork::status::{self, Status};
use testing::REFUSED;

use super::support::helper::children::{
    self, await_end, await_sleep, await_stop, awake, idle, raw_wait, start, start_idle,
};

mod core_file;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    // Avoid core files, except in the scenario that tests them.
    let _ = getrlimit(Resource::RLIMIT_CORE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard));
    match what {
        ["codes"] => codes(0..=255),
        ["a-code"] => codes(7..=7),
        ["signals"] => signals(),
        ["core", limit] => return core_file::run(limit),
        ["real-time"] => real_time(),
        ["changes"] => changes(),
        ["stopped"] => stopped(),
        ["traced"] => return traced(),
        ["others"] => others(),
        ["not-one", which] => not_one(which),
        ["again"] => again(),
        ["try"] => try_wait(),
        ["sleeps"] => sleeps(),
        ["interrupted"] => interrupted(),
        ["ignored"] => ignored(),
        ["forbidden"] => forbidden(),
        _ => return 2,
    }
    println!("left {}", children::left());
    0
}

/// Prints `code CODE ANSWER` for each of these exit codes.
fn codes(codes: RangeInclusive<i32>) {
    for code in codes {
        let child = start(|| code);
        println!("code {code} {}", words(status::wait(child)));
    }
}

/// A child looks at its parent, which waits for it, and prints `awake …`: how often the parent is awake.
fn sleeps() {
    let child = start(|| {
        println!("awake {}", awake(getppid()));
        0
    });
    println!("waited {}", words(status::wait(child)));
}

/// Prints `signal NUMBER ANSWER` for each signal whose default action kills a process.
fn signals() {
    let harmless = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGURG,
        libc::SIGWINCH,
    ];
    // The C library uses 32 and 33 itself: it does not let a program change their actions, and posix_spawn leaves them
    // ignored.
    let numbers = (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    for number in numbers.filter(|number| !harmless.contains(number)) {
        let child = start(|| {
            // Prevent a core dump, wherever this machine puts them.
            let _ = prctl::set_dumpable(false);
            // The helper may have been started with some signals ignored or blocked.
            // SAFETY: the default action runs no code of ours.
            unsafe { libc::signal(number, libc::SIG_DFL) };
            let _ = SigSet::empty().thread_set_mask();
            // SAFETY: the call only stops this process.
            unsafe { libc::raise(libc::SIGSTOP) };
            idle()
        });
        await_stop(child);
        // SAFETY: the call takes two integers, and the child has not been reaped.
        unsafe { libc::kill(child.as_raw(), number) };
        let _ = kill(child, Signal::SIGCONT);
        println!("signal {number} {}", words(status::wait(child)));
    }
}

/// A real-time signal kills a child. Prints what nix says of it and whether nix has reaped it, and what the code under
/// test says.
fn real_time() {
    let number = libc::SIGRTMIN() + 1;
    let killed = || {
        let child = start_idle();
        // SAFETY: the call takes two integers, and the child has not been reaped.
        unsafe { libc::kill(child.as_raw(), number) };
        await_end(child);
        child
    };
    let child = killed();
    println!("nix {}", waitpid(child, None).map_or_else(|errno| format!("{errno:?}"), |s| format!("{s:?}")));
    println!("then {}", raw_wait(child, 0).map_or_else(|errno| format!("{errno:?}"), |raw| raw.to_string()));
    println!("number {number}");
    println!("ours {}", words(status::wait(killed())));
    println!("tried {}", try_words(status::try_wait(killed())));
}

/// Decode the statuses that the kernel returns for a stop, a continue and a kill.
fn changes() {
    let child = start_idle();
    for (sent, options) in
        [(Signal::SIGSTOP, libc::WUNTRACED), (Signal::SIGCONT, libc::WCONTINUED), (Signal::SIGKILL, 0)]
    {
        kill(child, sent).expect("the child exists");
        let raw = raw_wait(child, options).expect("it is a child of the helper");
        println!("sent {sent} {:?}", Status::from_raw(raw));
    }
}

/// Call try_wait and wait for a stopped child. Another process continues it while the wait sleeps.
fn stopped() {
    let child = start(|| {
        let _ = raise(Signal::SIGSTOP);
        3
    });
    await_stop(child);
    println!("tried {}", try_words(status::try_wait(child)));
    let parent = getpid();
    let other = start(|| {
        await_sleep(parent);
        let _ = kill(child, Signal::SIGCONT);
        0
    });
    println!("waited {}", words(status::wait(child)));
    children::end(other);
    children::end(child);
}

/// The same with two children that this process traces, one for try_wait and one for wait. The kernel reports every stop
/// of such a child to its tracer.
fn traced() -> i32 {
    let stopped = || {
        start(|| match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
            Ok(()) => idle(),
            Err(_) => 1,
        })
    };
    let child = stopped();
    if !await_stop(child) {
        return refused("ptrace");
    }
    println!("tried {}", try_words(status::try_wait(child)));
    let _ = kill(child, Signal::SIGKILL);
    println!("waited {}", words(status::wait(child)));
    let child = stopped();
    await_stop(child);
    let parent = getpid();
    let other = start(|| {
        await_sleep(parent);
        let _ = kill(child, Signal::SIGKILL);
        0
    });
    println!("slept {}", words(status::wait(child)));
    children::end(other);
    children::end(child);
    println!("left {}", children::left());
    0
}

fn refused(what: &str) -> i32 {
    eprintln!("{what}");
    REFUSED
}

/// One child exits without a wait for it. Then wait and try_wait get children of their own.
fn others() {
    let other = start(|| 5);
    await_end(other);
    let ours = start(|| 6);
    println!("waited {}", words(status::wait(ours)));
    let ours = start(|| 7);
    await_end(ours);
    println!("tried {}", try_words(status::try_wait(ours)));
    let status = raw_wait(other, 0).map(Status::from_raw);
    println!("other {}", status.map_or_else(|errno| format!("gone: {errno:?}"), |s| s.to_string()));
}

/// Wait for numbers that are not one child of this process, while an exited child of other code has not been reaped.
fn not_one(which: &str) {
    let other = start(|| 5);
    await_end(other);
    let number = match which {
        "any child" => -1,
        "the own group" => 0,
        "a group" => -getpgrp().as_raw(),
        "the smallest number" => i32::MIN,
        "the parent" => getppid().as_raw(),
        _ => getpid().as_raw(),
    };
    println!("number {number}");
    println!("tried {}", try_words(status::try_wait(Pid::from_raw(number))));
    println!("waited {}", words(status::wait(Pid::from_raw(number))));
    println!("other {}", if raw_wait(other, 0).is_ok() { "there" } else { "gone" });
}

/// Call wait and try_wait under the tracer. Its answer does not depend on the process, so none is forked.
fn forbidden() {
    testing::judged(|| {
        println!("waited {}", words(status::wait(getpid())));
        println!("tried {}", try_words(status::try_wait(getpid())));
    });
}

/// Wait for a child that has been reaped already.
fn again() {
    let child = start(|| 5);
    println!("waited {}", words(status::wait(child)));
    println!("again {}", words(status::wait(child)));
    println!("tried {}", try_words(status::try_wait(child)));
    println!("pid {child}");
    let in_words = |error: prefork::Error| error.to_string();
    println!("again-says {}", status::wait(child).err().map_or_else(String::new, in_words));
    println!("tried-says {}", status::try_wait(child).err().map_or_else(String::new, in_words));
}

/// Call try_wait for a running child, and for one that was killed.
fn try_wait() {
    // A try_wait that blocks would never return, so let an alarm end it.
    alarm::set(2);
    let child = start_idle();
    println!("running {}", try_words(status::try_wait(child)));
    let _ = kill(child, Signal::SIGTERM);
    await_end(child);
    println!("exited {}", try_words(status::try_wait(child)));
}

/// A counter of handler calls, in memory that the processes share.
fn shared_counter() -> &'static AtomicUsize {
    let (length, access) = (std::mem::size_of::<AtomicUsize>(), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
    let length = length.try_into().expect("the counter has a size");
    // SAFETY: the kernel chooses an address that is free.
    let page = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) };
    // SAFETY: the mapping is page-aligned, large enough for an AtomicUsize, zeroed, and never unmapped.
    unsafe { page.expect("a page can be mapped").cast().as_ref() }
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

/// Another process interrupts the sleeping wait with a signal, fifty times, and then kills the child.
fn interrupted() {
    static COUNTER: std::sync::OnceLock<&'static AtomicUsize> = std::sync::OnceLock::new();
    extern "C" fn count(_: c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        COUNTER.get().map(|counter| counter.fetch_add(1, Ordering::Relaxed));
    }
    let counter = shared_counter();
    let _ = COUNTER.set(counter);
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments two atomic counters.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be handled");
    let _ = SigSet::from(Signal::SIGUSR1).thread_unblock();
    let child = start_idle();
    let parent = getpid();
    let other = start(|| {
        for handled in 0..50 {
            await_sleep(parent);
            let _ = kill(parent, Signal::SIGUSR1);
            while counter.load(Ordering::Relaxed) == handled {
                std::thread::yield_now();
            }
        }
        let _ = kill(child, Signal::SIGTERM);
        0
    });
    println!("waited {}", words(status::wait(child)));
    println!("handled {}", HANDLED.load(Ordering::Relaxed));
    children::end(other);
    children::end(child);
}

/// Wait for a child while SIGCHLD is ignored, so that the kernel discards its status.
fn ignored() {
    // SAFETY: ignoring a signal runs no code.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    let child = start(|| 5);
    println!("waited {}", words(status::wait(child)));
    println!("child {}", if testing::proc::state(child).is_some() { "there" } else { "gone" });
}

fn words(answer: prefork::Result<Status>) -> String {
    answer.map_or_else(|error| format!("Err {:?}", error.errno), |status| format!("{status:?}"))
}

fn try_words(answer: prefork::Result<Option<Status>>) -> String {
    answer.map_or_else(
        |error| format!("Err {:?}", error.errno),
        |status| status.map_or("nothing yet".into(), |status| format!("{status:?}")),
    )
}
