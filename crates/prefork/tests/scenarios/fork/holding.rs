//! A `Child`: its pidfd, waiting and signaling, and a process id that the kernel has reused.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{Pid, geteuid, getpid, read, write};
use prefork::Child;
use prefork::status::Status;
use testing::REFUSED;
use testing::proc::state;

use super::super::support::helper::children::{await_end, await_sleep, die_with, end, idle, raw_wait, start};
use super::refused::forbid;
use super::{fork, words};

fn ready(child: &Child, timeout: impl Into<PollTimeout>) -> bool {
    let mut fds = [PollFd::new(child.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).expect("a descriptor can be polled") == 1
}

fn tried(child: &mut Child) -> String {
    words(child.try_wait().map(|status| status.map_or("nothing yet".into(), |status| status.to_string())))
}

/// A child from its fork until after it was reaped.
pub fn held() {
    let mut child = fork(idle).expect("a helper can fork");
    let flags = fcntl(child.as_fd(), FcntlArg::F_GETFD).expect("the descriptor is open");
    println!("close-on-exec {}", FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    println!("running {}", if ready(&child, 0_u8) { "ready" } else { "not ready" });
    println!("tried-running {}", tried(&mut child));
    println!("signaled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    println!("exited {}", if ready(&child, 5000_u16) { "ready" } else { "not ready" });
    // An exited child can still be signaled until it is reaped.
    println!("signaled-exited {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    println!("tried {}", tried(&mut child));
    println!("waited {}", words(child.wait()));
    println!("again {}", words(child.wait()));
    println!("tried-again {}", tried(&mut child));
    println!("signaled-waited {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    // A second child, without try_wait.
    let mut child = fork(|| 4).expect("a helper can fork");
    println!("once {}", words(child.wait()));
    println!("twice {}", words(child.wait()));
}

/// The closure holds the write end of a pipe. Prints `forked …` and `failed …`: whether the write end is still open in
/// the parent after a fork, when the child has been reaped, and after a fork that failed.
pub fn closure() {
    let is_open = |reader: &PipeReader| {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::ZERO).expect("a descriptor can be polled") == 0
    };
    let words = |open| if open { "open" } else { "closed" };
    for (when, guarded) in [("forked", false), ("failed", true)] {
        let (reader, writer) = pipe().expect("there are descriptors");
        let guard = guarded.then(|| prefork::fork::ForkGuard::new("something"));
        let child = fork(move || {
            drop(writer);
            0
        });
        if let Ok(mut child) = child {
            child.wait().expect("it is a child");
        }
        println!("{when} {}", words(is_open(&reader)));
        drop(guard);
    }
}

/// Another process interrupts the sleeping wait with a signal, three times, and then ends the child with SIGTERM.
pub fn interrupted() {
    static HANDLED: OnceLock<(PipeReader, PipeWriter)> = OnceLock::new();
    extern "C" fn handled(_: c_int) {
        let _ = HANDLED.get().map(|(_, writer)| write(writer, &[0]));
    }
    let (reader, _) = HANDLED.get_or_init(|| pipe().expect("there are descriptors"));
    let action = SigAction::new(SigHandler::Handler(handled), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only writes to a pipe, which is async-signal-safe.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be handled");
    let mut child = fork(idle).expect("a helper can fork");
    let (parent, pid) = (getpid(), child.pid());
    let other = start(|| {
        for _ in 0..3 {
            await_sleep(parent);
            let _ = kill(parent, Signal::SIGUSR1);
            let _ = read(reader, &mut [0]);
        }
        let _ = kill(pid, Signal::SIGTERM);
        0
    });
    println!("waited {}", words(child.wait()));
    println!("helped {}", raw_wait(other, 0).expect("it is a child of the helper"));
    end(pid);
}

/// Drop a `Child` that is running, and one that has exited.
pub fn dropped() {
    let child = fork(idle).expect("a helper can fork");
    let pid = child.pid();
    drop(child);
    println!("still-running {}", state(pid).is_some_and(|state| state != 'Z'));
    let _ = kill(pid, Signal::SIGTERM);
    await_end(pid);
    println!("running-dropped {}", status_of(pid));

    let child = fork(|| 4).expect("a helper can fork");
    let pid = child.pid();
    await_end(pid);
    drop(child);
    println!("exited-dropped {}", status_of(pid));
}

fn status_of(pid: Pid) -> String {
    raw_wait(pid, 0).map_or_else(|errno| errno.to_string(), |raw| Status::from_raw(raw).to_string())
}

/// Try to reap, signal and wait for a child in a sandbox that forbids waitid(2) and pidfd_send_signal(2).
pub fn no_waitid() -> i32 {
    let mut child = fork(idle).expect("a helper can fork");
    let mut other = fork(|| 4).expect("a helper can fork");
    await_end(other.pid());
    if let Err(errno) = forbid(libc::SYS_waitid).and_then(|()| forbid(libc::SYS_pidfd_send_signal)) {
        end(child.pid());
        eprintln!("seccomp: {errno}");
        return REFUSED;
    }
    println!("tried-running {}", tried(&mut child));
    println!("signaled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    let _ = kill(child.pid(), Signal::SIGTERM);
    println!("waited {}", words(child.wait()));
    println!("tried {}", tried(&mut other));
    println!("signaled-reaped {}", words(other.signal(Signal::SIGTERM).map(|()| "Ok")));
    0
}

/// Signal a child that other code has reaped, in a sandbox that forbids pidfd_send_signal(2).
pub fn reaped_without_pidfd_send_signal() -> i32 {
    let child = fork(|| 4).expect("a helper can fork");
    let _ = raw_wait(child.pid(), 0);
    if let Err(errno) = forbid(libc::SYS_pidfd_send_signal) {
        eprintln!("seccomp: {errno}");
        return REFUSED;
    }
    println!("signaled-reaped {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    0
}

/// A child was reaped, and another process has its process id.
pub fn reused() -> i32 {
    match with_reused_pid() {
        Err(Errno::EPERM) if !geteuid().is_root() => {}
        result => return outcome(result),
    }
    // The creator of a pid namespace may choose the process ids in it.
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return outcome(Err(errno));
    }
    let first = start(|| outcome(with_reused_pid()));
    raw_wait(first, 0).map_or(1, |raw| match Status::from_raw(raw) {
        Status::Exited(code) => code,
        _ => 1,
    })
}

fn outcome(result: nix::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => {
            eprintln!("a process with a chosen process id: {errno}");
            REFUSED
        }
    }
}

fn with_reused_pid() -> nix::Result<()> {
    // The child is reaped through its `Child`.
    let mut child = fork(|| 0).expect("a helper can fork");
    let status = words(child.wait());
    let other = fork_as(child.pid())?;
    // Print only now that this machine is known to permit it.
    super::say(&format!("waited {status}"));
    super::say(&format!("same-pid {}", other == child.pid()));
    super::say(&format!("signaled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok"))));
    super::say(&format!("again {}", words(child.wait())));
    end_untouched(other);

    // Other code reaps the child.
    let mut child = fork(|| 0).expect("a helper can fork");
    let _ = raw_wait(child.pid(), 0);
    let other = fork_as(child.pid())?;
    super::say(&format!("other-code-tried {}", tried(&mut child)));
    super::say(&format!("other-code-signaled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok"))));
    // Kill the process that reuses the process id, so that a wait for that id would return.
    let _ = kill(other, Signal::SIGKILL);
    await_end(other);
    super::say(&format!("other-code-waited {}", words(child.wait())));
    end_untouched(other);
    Ok(())
}

/// Kill the process that reuses the process id, and print its status: SIGKILL unless the code under test has touched
/// it.
fn end_untouched(other: Pid) {
    let _ = kill(other, Signal::SIGKILL);
    super::say(&format!("other {}", status_of(other)));
    end(other);
}

/// What clone3(2) reads. libc has it for few architectures; it is the same on all. Zero means that a feature is not used.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Start an idle process with this process id: see clone3(2), "set_tid".
fn fork_as(number: Pid) -> nix::Result<Pid> {
    let parent = getpid();
    let set_tid = [number.as_raw()];
    let args = CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: set_tid.as_ptr() as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    // SAFETY: `args` and `set_tid` live until the call returns. The new process is a copy, as after fork(2), and has
    // one thread. The C library does not know of the fork, but the child uses nothing that depends on that.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match Errno::result(pid)? {
        0 => {
            die_with(parent);
            idle();
            unreachable!("only a signal ends `idle`");
        }
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}
