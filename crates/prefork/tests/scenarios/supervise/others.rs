//! Children that other code has forked, signals that the supervisor does not use, and what a child sees of its parent.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

use nix::libc::{self, c_int};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{ForkResult, fork, getppid};
use prefork::Event;
use testing::REFUSED;

use super::super::support::helper::children::awake;
use super::children::{Shared, sleep};
use super::{observe, policy};

/// Fork two children outside of the supervisor: one exits before it starts, and one while it runs. Prints
/// `other STATUS` for each.
pub fn other_children(shared: &Shared) {
    let other = |wait: bool, code| {
        // SAFETY: this program has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }.expect("a process can be forked") {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                nix::unistd::alarm::set(super::PATIENCE);
                if wait {
                    shared.wait_for_release();
                }
                // SAFETY: it ends the process at once, so nothing of it is used afterwards.
                unsafe { libc::_exit(code) }
            }
        }
    };
    let both = [other(false, 5), other(true, 6)];
    let exited = |child| waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    exited(both[0]).expect("it is a child");
    let also = |event| {
        if let Event::Started { .. } = event {
            shared.release_one();
            exited(both[1]).expect("it is a child");
        }
    };
    // This prints that zombies are left: these two children.
    observe(&policy(1), |task| if shared.next_life(task) == 0 { 3 } else { 0 }, also);
    for child in both {
        println!("other {:?}", waitpid(child, None));
    }
}

static HANDLED: AtomicPtr<AtomicUsize> = AtomicPtr::new(ptr::null_mut());

extern "C" fn count(_signal: c_int) {
    // SAFETY: the pointer was set before this handler, and what it points to lives until the process exits.
    if let Some(handled) = unsafe { HANDLED.load(Ordering::SeqCst).as_ref() } {
        handled.fetch_add(1, Ordering::SeqCst);
    }
}

/// A child sends the sleeping supervisor a signal that has a handler, twenty times. Prints `handled NUMBER`.
pub fn interrupted(shared: &Shared) {
    let handled = shared.seen();
    HANDLED.store(ptr::from_ref(handled).cast_mut(), Ordering::SeqCst);
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only increments an atomic counter.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.expect("SIGUSR2 can be handled");
    let work = |_| {
        for _ in 0..20 {
            let before = handled.load(Ordering::SeqCst);
            until(|| testing::proc::state(getppid()) == Some('S'));
            kill(getppid(), Signal::SIGUSR2).expect("the supervisor is running");
            until(|| handled.load(Ordering::SeqCst) > before);
        }
        0
    };
    observe(&policy(1), work, |_| {});
    println!("handled {}", handled.load(Ordering::SeqCst));
}

/// Wait until another process has reached a state. The kernel has no event for this, so poll it.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        sleep(Duration::from_micros(100));
    }
}

/// In a child: print `awake …`, how often the supervisor is awake while nothing happens; and `sleeps-in …`, the system call in
/// which it sleeps, with its arguments, where this machine shows it.
pub fn watch_parent() -> i32 {
    println!("awake {}", awake(getppid()));
    let call = std::fs::read_to_string(format!("/proc/{}/syscall", getppid())).unwrap_or_default();
    println!("sleeps-in {}", call.trim_end());
    0
}

/// The supervisor's child is the first process of a PID namespace, in which its parent is process 0.
pub fn pid_namespace() -> i32 {
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        eprintln!("a PID namespace: {errno}");
        return REFUSED;
    }
    let work = |_| {
        println!("parent {}", getppid());
        0
    };
    observe(&policy(1), work, |_| {});
    0
}
