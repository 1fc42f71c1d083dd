//! `status WHAT`: children that end in every way there is, and what is said of them.

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

use super::super::children::{self, await_end, await_sleep, await_stop, idle, raw_wait, start, start_idle};

mod core_file;

/// Run the scenario of that name.
pub fn run(what: &[&str]) -> i32 {
    // A core file would stay behind; what is about them has its own scenario.
    let _ = getrlimit(Resource::RLIMIT_CORE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard));
    match what {
        ["codes"] => codes(),
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
        ["interrupted"] => interrupted(),
        ["ignored"] => ignored(),
        _ => return 2,
    }
    println!("left {}", children::left());
    0
}

/// `waited ANSWER` for each code that a process can end with.
fn codes() {
    for code in 0..=255 {
        let child = start(|| code);
        println!("code {code} {}", words(status::wait(child)));
    }
}

/// `signal NUMBER ANSWER` for every signal whose default is to end a process.
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
    // 32 and 33 are the C library's own: it lets nobody change what they do, and posix_spawn leaves them ignored.
    let numbers = (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    for number in numbers.filter(|number| !harmless.contains(number)) {
        let child = start(|| {
            // Wherever cores go on this machine, there is to be none.
            let _ = prctl::set_dumpable(false);
            // The helper may have been started with some of them ignored or blocked.
            // SAFETY: the default is no handler, so there is nothing that could run at a bad moment.
            unsafe { libc::signal(number, libc::SIG_DFL) };
            let _ = SigSet::empty().thread_set_mask();
            // SAFETY: stops this process and does nothing else.
            unsafe { libc::raise(libc::SIGSTOP) };
            idle()
        });
        await_stop(child);
        // SAFETY: the call takes two integers, and the child has not been waited for.
        unsafe { libc::kill(child.as_raw(), number) };
        let _ = kill(child, Signal::SIGCONT);
        println!("signal {number} {}", words(status::wait(child)));
    }
}

/// What nix says of a child that a real-time signal ended, and what is left of that child; and what we say.
fn real_time() {
    let number = libc::SIGRTMIN() + 1;
    let ended = || {
        let child = start_idle();
        // SAFETY: the call takes two integers, and the child has not been waited for.
        unsafe { libc::kill(child.as_raw(), number) };
        await_end(child);
        child
    };
    let child = ended();
    println!("nix {}", waitpid(child, None).map_or_else(|errno| format!("{errno:?}"), |s| format!("{s:?}")));
    println!("then {}", raw_wait(child, 0).map_or_else(|errno| format!("{errno:?}"), |raw| raw.to_string()));
    println!("number {number}");
    println!("ours {}", words(status::wait(ended())));
    println!("tried {}", try_words(status::try_wait(ended())));
}

/// The numbers that the kernel gives when it is asked for stops and continuations too.
fn changes() {
    let child = start_idle();
    for (sent, options) in
        [(Signal::SIGSTOP, libc::WUNTRACED), (Signal::SIGCONT, libc::WCONTINUED), (Signal::SIGKILL, 0)]
    {
        kill(child, sent).expect("the child is there");
        let raw = raw_wait(child, options).expect("it is a child of the helper's");
        println!("sent {sent} {:?}", Status::from_raw(raw));
    }
}

/// A child that is stopped, tried and then waited for; what continues it does so when the wait sleeps.
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

/// A child that this process traces: the kernel tells its tracer of every stop, asked or not.
fn traced() -> i32 {
    let child = start(|| match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
        Ok(()) => idle(),
        Err(_) => 1,
    });
    if !await_stop(child) {
        return refused("ptrace");
    }
    println!("tried {}", try_words(status::try_wait(child)));
    let _ = kill(child, Signal::SIGKILL);
    println!("waited {}", words(status::wait(child)));
    println!("left {}", children::left());
    0
}

fn refused(what: &str) -> i32 {
    eprintln!("{what}");
    REFUSED
}

/// One child ends, and nobody asks for it; then another is waited for, and another is tried.
fn others() {
    let somebodys = start(|| 5);
    await_end(somebodys);
    let ours = start(|| 6);
    println!("waited {}", words(status::wait(ours)));
    let ours = start(|| 7);
    await_end(ours);
    println!("tried {}", try_words(status::try_wait(ours)));
    let there = raw_wait(somebodys, 0).map(Status::from_raw);
    println!("somebody's {}", there.map_or_else(|errno| format!("gone: {errno:?}"), |s| s.to_string()));
}

/// Waiting for what is no child, or not one, with a child that has ended beside it.
fn not_one(which: &str) {
    let somebodys = start(|| 5);
    await_end(somebodys);
    let number = match which {
        "any" => -1,
        "our group" => 0,
        "a group" => -getpgrp().as_raw(),
        "the least" => i32::MIN,
        "the parent" => getppid().as_raw(),
        _ => getpid().as_raw(),
    };
    println!("number {number}");
    println!("tried {}", try_words(status::try_wait(Pid::from_raw(number))));
    println!("waited {}", words(status::wait(Pid::from_raw(number))));
    println!("somebody's {}", if raw_wait(somebodys, 0).is_ok() { "there" } else { "gone" });
}

/// A child that was waited for, waited for and tried once more.
fn again() {
    let child = start(|| 5);
    println!("waited {}", words(status::wait(child)));
    println!("again {}", words(status::wait(child)));
    println!("tried {}", try_words(status::try_wait(child)));
    println!(
        "names {}",
        status::wait(child).is_err_and(|error| error.to_string().contains(&child.to_string()))
    );
}

/// A child that is there, and then is not.
fn try_wait() {
    // What waits for this child waits for ever.
    alarm::set(2);
    let child = start_idle();
    println!("there {}", try_words(status::try_wait(child)));
    let _ = kill(child, Signal::SIGTERM);
    await_end(child);
    println!("ended {}", try_words(status::try_wait(child)));
}

/// How often a handler was called, which processes share.
fn shared_counter() -> &'static AtomicUsize {
    let (length, access) = (std::mem::size_of::<AtomicUsize>(), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
    let length = length.try_into().expect("it has a size");
    // SAFETY: a mapping of its own, at an address that the kernel chooses.
    let page = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) };
    // SAFETY: it is page-aligned, as large as an AtomicUsize, filled with zeros, and never unmapped.
    unsafe { page.expect("a page can be mapped").cast().as_ref() }
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

/// A signal comes while the wait sleeps, three times; then the child ends.
fn interrupted() {
    static COUNTER: std::sync::OnceLock<&'static AtomicUsize> = std::sync::OnceLock::new();
    extern "C" fn count(_: c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        COUNTER.get().map(|counter| counter.fetch_add(1, Ordering::Relaxed));
    }
    let counter = shared_counter();
    let _ = COUNTER.set(counter);
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler adds to two numbers, which it may do at any moment.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be handled");
    let _ = SigSet::from(Signal::SIGUSR1).thread_unblock();
    let child = start_idle();
    let parent = getpid();
    let other = start(|| {
        for came in 0..3 {
            await_sleep(parent);
            let _ = kill(parent, Signal::SIGUSR1);
            while counter.load(Ordering::Relaxed) == came {
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

/// With SIGCHLD ignored, the kernel keeps nothing of a child that ends.
fn ignored() {
    // SAFETY: ignoring a signal runs no code.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    let child = start(|| 5);
    println!("waited {}", words(status::wait(child)));
    println!("child {}", if children::state(child).is_some() { "there" } else { "gone" });
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
