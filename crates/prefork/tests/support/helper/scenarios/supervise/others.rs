//! Children of somebody else, and signals that are nobody's business here.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, ptr};

use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid};
use prefork::Event;

use super::children::{Shared, sleep};
use super::{observe, policy};

/// Two children of somebody else's: one has ended before, and one ends meanwhile. Prints `neighbour STATUS` for
/// each.
pub fn neighbours(shared: &Shared) {
    let neighbour = |wait: bool, code| {
        // SAFETY: this program has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }.expect("a process can be forked") {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                nix::unistd::alarm::set(super::PATIENCE);
                if wait {
                    shared.wait_to_end();
                }
                // SAFETY: ends this process and does nothing else.
                unsafe { libc::_exit(code) }
            }
        }
    };
    let both = [neighbour(false, 5), neighbour(true, 6)];
    let ended = |child| waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    ended(both[0]).expect("it is our child");
    let also = |event| {
        if let Event::Started { .. } = event {
            shared.let_one_end();
            ended(both[1]).expect("it is our child");
        }
    };
    // Prints that there are zombies: these two.
    observe(&policy(1), |task| if shared.next_life(task) == 0 { 3 } else { 0 }, also);
    for child in both {
        println!("neighbour {:?}", waitpid(child, None));
    }
}

static HANDLED: AtomicPtr<AtomicUsize> = AtomicPtr::new(ptr::null_mut());

extern "C" fn count(_signal: c_int) {
    // SAFETY: it was set, before this handler was, to what is there until the process ends.
    if let Some(handled) = unsafe { HANDLED.load(Ordering::SeqCst).as_ref() } {
        handled.fetch_add(1, Ordering::SeqCst);
    }
}

/// The supervisor handles a signal that a child sends it, again and again while it sleeps. Prints `handled NUMBER`.
pub fn interrupted(shared: &Shared) {
    let handled = shared.seen();
    HANDLED.store(ptr::from_ref(handled).cast_mut(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler adds to an atomic number, and nothing else.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.expect("SIGUSR2 can be handled");
    let work = |_| {
        for _ in 0..20 {
            let before = handled.load(Ordering::SeqCst);
            until(|| sleeps(getppid()));
            kill(getppid(), Signal::SIGUSR2).expect("the supervisor is there");
            until(|| handled.load(Ordering::SeqCst) > before);
        }
        0
    };
    observe(&policy(1), work, |_| {});
    println!("handled {}", handled.load(Ordering::SeqCst));
}

/// Another process can only be watched.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        sleep(Duration::from_micros(100));
    }
}

fn sleeps(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
