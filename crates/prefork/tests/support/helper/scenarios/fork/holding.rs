//! What holds a child: a descriptor that is nobody else's, also when its number is.

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

use super::super::super::children::{await_end, await_sleep, die_with, end, idle, raw_wait, start, state};
use super::{fork, words};

fn ready(child: &Child, timeout: impl Into<PollTimeout>) -> bool {
    let mut fds = [PollFd::new(child.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).expect("a descriptor can be polled") == 1
}

fn tried(child: &mut Child) -> String {
    words(child.try_wait().map(|status| status.map_or("nothing yet".into(), |status| status.to_string())))
}

/// From its birth to after its end.
pub fn held() {
    let mut child = fork(idle).expect("a helper can fork");
    let flags = fcntl(child.as_fd(), FcntlArg::F_GETFD).expect("the descriptor is open");
    println!("close-on-exec {}", FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
    println!("there {}", if ready(&child, 0_u8) { "ready" } else { "not ready" });
    println!("tried-there {}", tried(&mut child));
    println!("signalled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    println!("ended {}", if ready(&child, 5000_u16) { "ready" } else { "not ready" });
    // One that has ended is still there to be signalled, until it is waited for.
    println!("signalled-ended {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    println!("tried {}", tried(&mut child));
    println!("waited {}", words(child.wait()));
    println!("again {}", words(child.wait()));
    println!("tried-again {}", tried(&mut child));
    println!("signalled-waited {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok")));
    // Another one, which nobody has tried.
    let mut child = fork(|| 4).expect("a helper can fork");
    println!("once {}", words(child.wait()));
    println!("twice {}", words(child.wait()));
}

/// A signal comes while the wait sleeps, three times; then the child is told to end.
pub fn interrupted() {
    static HANDLED: OnceLock<(PipeReader, PipeWriter)> = OnceLock::new();
    extern "C" fn handled(_: c_int) {
        let _ = HANDLED.get().map(|(_, end)| write(end, &[0]));
    }
    let (news, _) = HANDLED.get_or_init(|| pipe().expect("there are descriptors"));
    let action = SigAction::new(SigHandler::Handler(handled), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler writes to a pipe, which it may do at any moment.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be handled");
    let mut child = fork(idle).expect("a helper can fork");
    let (parent, pid) = (getpid(), child.pid());
    let other = start(|| {
        for _ in 0..3 {
            await_sleep(parent);
            let _ = kill(parent, Signal::SIGUSR1);
            let _ = read(news, &mut [0]);
        }
        let _ = kill(pid, Signal::SIGTERM);
        0
    });
    println!("waited {}", words(child.wait()));
    println!("helped {}", raw_wait(other, 0).expect("it is a child of the helper's"));
    end(pid);
}

/// Nobody holds it any more: one that is there, and one that has ended.
pub fn dropped() {
    let child = fork(idle).expect("a helper can fork");
    let pid = child.pid();
    drop(child);
    println!("goes-on {}", state(pid).is_some_and(|state| state != 'Z'));
    let _ = kill(pid, Signal::SIGTERM);
    await_end(pid);
    println!("waits {}", status_of(pid));

    let child = fork(|| 4).expect("a helper can fork");
    let pid = child.pid();
    await_end(pid);
    drop(child);
    println!("ended-waits {}", status_of(pid));
}

fn status_of(pid: Pid) -> String {
    raw_wait(pid, 0).map_or_else(|errno| errno.to_string(), |raw| Status::from_raw(raw).to_string())
}

/// A child is gone, and its number is another's.
pub fn reused() -> i32 {
    match somebody_with_its_number() {
        Err(Errno::EPERM) if !geteuid().is_root() => {}
        result => return outcome(result),
    }
    // Whoever makes a namespace may choose the numbers in it.
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
        return outcome(Err(errno));
    }
    let first = start(|| outcome(somebody_with_its_number()));
    raw_wait(first, 0).map_or(1, |raw| match Status::from_raw(raw) {
        Status::Exited(code) => code,
        _ => 1,
    })
}

fn outcome(result: nix::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => {
            eprintln!("a process with a chosen number: {errno}");
            REFUSED
        }
    }
}

fn somebody_with_its_number() -> nix::Result<()> {
    // Waited for by whom it belongs to.
    let mut child = fork(|| 0).expect("a helper can fork");
    let status = words(child.wait());
    let other = born_as(child.pid())?;
    // Nothing is said before that is known to be possible here.
    super::say(&format!("waited {status}"));
    super::say(&format!("same number {}", other == child.pid()));
    super::say(&format!("signalled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok"))));
    super::say(&format!("again {}", words(child.wait())));
    end_untouched(other);

    // Waited for by somebody else.
    let mut child = fork(|| 0).expect("a helper can fork");
    let _ = raw_wait(child.pid(), 0);
    let other = born_as(child.pid())?;
    super::say(&format!("theirs-tried {}", tried(&mut child)));
    super::say(&format!("theirs-signalled {}", words(child.signal(Signal::SIGTERM).map(|()| "Ok"))));
    // It has ended, so that whoever waits for the number gets an answer.
    let _ = kill(other, Signal::SIGKILL);
    await_end(other);
    super::say(&format!("theirs-waited {}", words(child.wait())));
    end_untouched(other);
    Ok(())
}

/// `other`, and how it ended: by SIGKILL if nobody else has been at it.
fn end_untouched(other: Pid) {
    let _ = kill(other, Signal::SIGKILL);
    super::say(&format!("other {}", status_of(other)));
    end(other);
}

/// A process with that number, which does nothing: see clone3(2), "set_tid".
fn born_as(number: Pid) -> nix::Result<Pid> {
    let parent = getpid();
    let set_tid = [number.as_raw()];
    // SAFETY: integers, for which zeros are what is not asked for.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = set_tid.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: the call reads the two, which are there until it is back. The process is a copy, as after fork(2), and
    // has one thread; that the C library was not told matters to nothing that it does.
    let born = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match Errno::result(born)? {
        0 => {
            die_with(parent);
            idle();
            unreachable!("only a signal ends it");
        }
        born => Ok(Pid::from_raw(born as i32)),
    }
}
