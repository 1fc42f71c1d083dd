//! Children of the helper that the code under test did not start, and looking at children without taking what is
//! to be taken from them.
//!
//! Contract: no child outlives the helper, whatever becomes of it.

use std::fs;
use std::thread::yield_now;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

/// Start a child, which does this and ends with the code that it gives.
pub fn start(work: impl FnOnce() -> i32) -> Pid {
    let parent = getpid();
    // SAFETY: the helper has one thread, so the child may do whatever the helper may.
    match unsafe { fork() }.expect("a helper can fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            die_with(parent);
            let code = work();
            // SAFETY: it ends the process at once, and nothing of it is used afterwards.
            unsafe { libc::_exit(code) }
        }
    }
}

/// A child that does nothing until a signal ends it.
pub fn start_idle() -> Pid {
    start(idle)
}

/// Do nothing until a signal ends this process.
pub fn idle() -> i32 {
    loop {
        nix::unistd::pause();
    }
}

/// In a child: end when that parent ends, however it ends.
pub fn die_with(parent: Pid) {
    // To the first process of a namespace, its parent is 0.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || ![parent, Pid::from_raw(0)].contains(&getppid()) {
        // SAFETY: as above.
        unsafe { libc::_exit(99) }
    }
}

/// Wait until it has ended, and leave it to be waited for. Gives `CLD_EXITED`, `CLD_KILLED` or `CLD_DUMPED`.
pub fn await_end(child: Pid) -> c_int {
    look(child, libc::WEXITED).expect("it is a child of the helper's")
}

/// Wait until it is stopped or has ended, and leave that to be waited for. Is it there?
pub fn await_stop(child: Pid) -> bool {
    look(child, libc::WSTOPPED | libc::WEXITED).expect("it is a child of the helper's") != libc::CLD_EXITED
}

fn look(child: Pid, what: c_int) -> Result<c_int, Errno> {
    loop {
        // SAFETY: zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let id = child.as_raw().cast_unsigned();
        // SAFETY: the call writes one siginfo_t, to the one that it is given a pointer to.
        match Errno::result(unsafe { libc::waitid(libc::P_PID, id, &raw mut info, what | libc::WNOWAIT) }) {
            Ok(_) => return Ok(info.si_code),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Wait until that process sleeps. There is no event to wait for, so it looks again and again.
pub fn await_sleep(process: Pid) {
    while state(process) != Some('S') {
        yield_now();
    }
}

/// The letter that /proc has for what it is doing: see proc_pid_stat(5).
pub fn state(process: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// `none`, `running`, or `a zombie`, which is reaped by that.
pub fn left() -> String {
    let mut raw = 0;
    // SAFETY: the call writes one integer, to the one that it is given a pointer to.
    match Errno::result(unsafe { libc::waitpid(-1, &raw mut raw, libc::WNOHANG) }) {
        Err(Errno::ECHILD) => "none".into(),
        Ok(0) => "running".into(),
        Ok(_) => "a zombie".into(),
        Err(errno) => errno.to_string(),
    }
}

/// End a child and reap it, if it is there.
pub fn end(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let _ = raw_wait(child, 0);
}

/// waitpid(2) with these options, and the number that it gives.
pub fn raw_wait(child: Pid, options: c_int) -> Result<i32, Errno> {
    loop {
        let mut raw = 0;
        // SAFETY: as above.
        match Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut raw, options) }) {
            Ok(_) => return Ok(raw),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
