//! Children that the helper forks without the code under test, and ways to inspect children without reaping them.
//!
//! Contract: no child outlives the helper, however the helper ends.

use std::thread::{sleep, yield_now};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use testing::proc::{sleeps, state};

/// Fork a child that runs `work` and exits with the code that it returns.
pub fn start(work: impl FnOnce() -> i32) -> Pid {
    let parent = getpid();
    // SAFETY: the helper has one thread, so the child may call whatever the helper may.
    match unsafe { fork() }.expect("a helper can fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            die_with(parent);
            let code = work();
            // SAFETY: it ends the process at once, so nothing of it is used afterwards.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Fork a child that does nothing until a signal kills it.
pub fn start_idle() -> Pid {
    start(idle)
}

/// Do nothing until a signal kills this process.
pub fn idle() -> i32 {
    loop {
        nix::unistd::pause();
    }
}

/// In a child: let the kernel kill this process when its parent dies, and exit if the parent has died already.
pub fn die_with(parent: Pid) {
    // The first process of a pid namespace sees 0 as its parent.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || ![parent, Pid::from_raw(0)].contains(&getppid()) {
        // SAFETY: as above.
        unsafe { libc::_exit(99) }
    }
}

/// Wait until a child has exited or was killed, without reaping it. Returns `CLD_EXITED`, `CLD_KILLED` or `CLD_DUMPED`.
pub fn await_end(child: Pid) -> c_int {
    look(child, libc::WEXITED).expect("it is a child of the helper")
}

/// Wait until a child was stopped or has exited, without reaping it. Returns whether it still exists.
pub fn await_stop(child: Pid) -> bool {
    look(child, libc::WSTOPPED | libc::WEXITED).expect("it is a child of the helper") != libc::CLD_EXITED
}

fn look(child: Pid, what: c_int) -> Result<c_int, Errno> {
    loop {
        // SAFETY: all zeros are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let id = child.as_raw().cast_unsigned();
        // SAFETY: the call writes one siginfo_t, and `info` has room for it.
        match Errno::result(unsafe { libc::waitid(libc::P_PID, id, &raw mut info, what | libc::WNOWAIT) }) {
            Ok(_) => return Ok(info.si_code),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Wait until a process sleeps. The kernel has no event for this, so poll its state.
pub fn await_sleep(process: Pid) {
    while state(process) != Some('S') {
        yield_now();
    }
}

/// Wait until a process sleeps, look at it a hundred times, and count how often it is awake or has been awake. `always`
/// if it is awake at each of five hundred looks.
pub fn awake(process: Pid) -> String {
    let is_asleep = |_: &u64| {
        sleep(Duration::from_millis(1));
        state(process) == Some('S')
    };
    if !(0..500).any(|look| is_asleep(&look)) {
        return "always".into();
    }
    let times_asleep = || sleeps(process).expect("/proc counts context switches");
    let before = times_asleep();
    // A process that calls waitid without blocking has the state S for a moment, so one look is not enough.
    let asleep = (0..100).filter(is_asleep).count() as u64;
    (100 - asleep + times_asleep() - before).to_string()
}

/// What a wait for any child finds: `none`, `running`, or `a zombie`, which it reaps.
pub fn left() -> String {
    let mut raw = 0;
    // SAFETY: the call writes one integer, and `raw` has room for it.
    match Errno::result(unsafe { libc::waitpid(-1, &raw mut raw, libc::WNOHANG) }) {
        Err(Errno::ECHILD) => "none".into(),
        Ok(0) => "running".into(),
        Ok(_) => "a zombie".into(),
        Err(errno) => errno.to_string(),
    }
}

/// Kill a child and reap it, if it exists.
pub fn end(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let _ = raw_wait(child, 0);
}

/// Call waitpid(2) with these options. Returns the raw wait status.
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
