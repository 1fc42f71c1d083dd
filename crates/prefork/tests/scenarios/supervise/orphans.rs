//! A supervisor that SIGKILL kills, so that it cannot do anything about its children.
//!
//! The helper is the supervisor's parent here. Orphaned children become the helper's children, and it reaps them: see
//! `PR_SET_CHILD_SUBREAPER` in prctl(2).

use std::fs;
use std::io::{PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Gid, Pid, Uid, alarm, getpid, getppid, pause, setgid, setuid};
use prefork::supervise::supervise;
use prefork::{Lifeline, fork};
use testing::REFUSED;

use super::children::{Shared, sleep};
use super::{PATIENCE, kernel, policy};

/// Kill the supervisor of three children once all three run. Prints `ended SIGNAL` for each child. The kernel signals
/// the children before their parent can be reaped; without that signal, their own alarm ends them.
///
/// Beforehand each child `runs`, has `changed-its-user`, has `lost-the-death-signal`, has `closed-everything`, was
/// `replaced` by one that closed everything, was replaced by one that `lost-the-death-signal-of-a-replacement`, or lives
/// in a sandbox that `forbids-prctl` or `forbids-fcntl`.
pub fn killed(children: &str, shared: &Shared) -> i32 {
    if children == "changed-its-user" && !may_signal_every_user() {
        eprintln!("this process is not root, or only root of a user namespace");
        return REFUSED;
    }
    let (mut reader, writer) = pipe().expect("there are descriptors");
    become_subreaper();
    match children {
        "forbids-prctl" => kernel::forbid(&[libc::SYS_prctl]),
        "forbids-fcntl" => kernel::forbid(&[libc::SYS_fcntl]),
        _ => {}
    }
    let supervisor = supervisor(writer, |started| {
        let work = |task| {
            alarm::set(PATIENCE);
            match children {
                "changed-its-user" => {
                    setgid(Gid::from_raw(65534)).expect("root may change its group");
                    setuid(Uid::from_raw(65534)).expect("root may change its user");
                }
                // This is what the kernel does when a process changes its user.
                "lost-the-death-signal" => prctl::set_pdeathsig(None).expect("it can be cleared"),
                "replaced" | "lost-the-death-signal-of-a-replacement" if shared.next_life(task) == 0 => {
                    return 1;
                }
                "lost-the-death-signal-of-a-replacement" => {
                    prctl::set_pdeathsig(None).expect("it can be cleared");
                }
                "closed-everything" | "replaced" => kernel::close_all_but(started.as_raw_fd()),
                _ => {}
            }
            (&*started).write_all(b"h").expect("the helper reads");
            loop {
                pause();
            }
        };
        let _ = supervise(&policy(3), work, |_| {});
    });
    // Each of three children writes a byte.
    if reader.read_exact(&mut [0; 3]).is_err() {
        println!("ended before all children worked");
    }
    end(supervisor);
    while let Ok(status) = waitpid(None, None) {
        match status {
            WaitStatus::Signaled(_, signal, _) => println!("ended {signal}"),
            other => println!("ended {other:?}"),
        }
    }
    0
}

/// Is this process root, and not only in a user namespace? There, the file has another line: see user_namespaces(7).
fn may_signal_every_user() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    Uid::effective().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

static SUPERVISOR: AtomicI32 = AtomicI32::new(0);
static WRITER: AtomicI32 = AtomicI32::new(-1);
static COPIES: AtomicBool = AtomicBool::new(false);

/// Runs in the child before `fork` returns there, and waits until its parent has died.
extern "C" fn wait_for_parents_death() {
    alarm::set(PATIENCE);
    if COPIES.load(Ordering::SeqCst) {
        kernel::copy_all();
    }
    let byte = b"b";
    // SAFETY: the byte is valid, and the descriptor is this process's copy of one that stays open.
    unsafe { libc::write(WRITER.load(Ordering::SeqCst), byte.as_ptr().cast(), 1) };
    while getppid().as_raw() == SUPERVISOR.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(1));
    }
}

/// Kill the supervisor when its child has been forked and has not run any of its own code. Prints `worked yes` or
/// `worked no`. With `copies`, the child has a copy of each descriptor, as another process could have.
pub fn parent_died(copies: &str) -> i32 {
    COPIES.store(copies == "copies", Ordering::SeqCst);
    let (mut reader, writer) = pipe().expect("there are descriptors");
    become_subreaper();
    let supervisor = supervisor(writer, |started| {
        SUPERVISOR.store(getpid().as_raw(), Ordering::SeqCst);
        WRITER.store(started.as_raw_fd(), Ordering::SeqCst);
        // SAFETY: this process has one thread, so the handler may call any function in the child.
        unsafe { libc::pthread_atfork(None, None, Some(wait_for_parents_death)) };
        let work = |_| {
            (&*started).write_all(b"w").expect("the helper reads");
            0
        };
        let _ = supervise(&policy(1), work, |_| {});
    });
    reader.read_exact(&mut [0]).expect("the child writes a byte");
    end(supervisor);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("a pipe can be read to its end");
    println!("worked {}", if rest.is_empty() { "no" } else { "yes" });
    while waitpid(None, None).is_ok() {}
    0
}

/// A child holds its lifeline after the write end was closed, which the kernel does for a parent that has died. The child
/// is in its parent's PID namespace, or is `first` in a namespace of its own. Prints `held …` if the child goes on, and
/// `child …`, its status.
pub fn lifeline_is_cut(whose: &str) -> i32 {
    if whose == "first"
        && let Err(errno) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
    {
        eprintln!("a PID namespace: {errno}");
        return REFUSED;
    }
    let (mut reader, mut writer) = pipe().expect("there are descriptors");
    let lifeline = Lifeline::new().expect("there are descriptors");
    // The parent drops its copy of the closure, and with it its copies of the lifeline.
    let child = fork::fork(move || {
        alarm::set(PATIENCE);
        reader.read_exact(&mut [0]).expect("the parent writes a byte");
        println!("held {:?}", lifeline.hold());
        0
    });
    let mut child = child.expect("a helper can fork");
    writer.write_all(b"c").expect("the child reads");
    println!("child {}", child.wait().expect("it is a child"));
    0
}

fn become_subreaper() {
    prctl::set_child_subreaper(true).expect("any process may become a subreaper");
}

/// Fork a child that supervises.
fn supervisor(writer: PipeWriter, supervise: impl FnOnce(&PipeWriter)) -> Pid {
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { unistd::fork() }.expect("a process can be forked") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            alarm::set(PATIENCE);
            supervise(&writer);
            // SAFETY: it ends the process at once, so nothing of it is used afterwards.
            unsafe { libc::_exit(1) }
        }
    }
}

fn end(supervisor: Pid) {
    kill(supervisor, Signal::SIGKILL).expect("it has not been reaped");
    waitpid(supervisor, None).expect("it is a child");
}
