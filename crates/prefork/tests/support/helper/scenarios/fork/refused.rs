//! Forks that fail, and what is left of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, setgid, setuid};
use testing::REFUSED;

use super::super::super::children::left;
use super::at_fork::AtFork;
use super::table::{changes, fill, lower_limit, open_now};
use super::{error, fork, fork_and_wait, say};

/// Try to fork, and say what came of it and what has changed.
fn attempt() {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR2);
    blocked.thread_set_mask().expect("a mask can be set");
    let before = open_now();
    let result = fork(|| {
        say("the child ran");
        super::super::super::children::idle()
    });
    println!("result {}", result.map_or_else(error, |_| "Ok".into()));
    let now = SigSet::thread_get_mask().expect("a mask can be asked for");
    println!("mask {}", if now == blocked { "as it was" } else { "changed" });
    println!("table {}", changes(&before, &open_now()));
    println!("children {}", left());
}

/// A user who may have no process more.
pub fn limit() -> i32 {
    // The limit is not for root.
    if Uid::effective().is_root() {
        let nobody = setgid(Gid::from_raw(65534)).and_then(|()| setuid(Uid::from_raw(65534)));
        if let Err(errno) = nobody {
            eprintln!("setuid: {errno}");
            return REFUSED;
        }
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit can be asked for");
    setrlimit(Resource::RLIMIT_NPROC, 0, hard).expect("a limit can be lowered");
    attempt();
    if setrlimit(Resource::RLIMIT_NPROC, soft, hard).is_ok() {
        println!("then {}", fork_and_wait(|| 3));
    }
    println!("left {}", left());
    0
}

/// No number is left for a descriptor; and then there is one.
pub fn no_number() {
    lower_limit();
    // What the attempt looks at itself with needs one too, so that is looked at here.
    let mut taken = fill();
    let before = SigSet::thread_get_mask().expect("a mask can be asked for");
    let result = fork(|| {
        say("the child ran");
        super::super::super::children::idle()
    });
    let now = SigSet::thread_get_mask().expect("a mask can be asked for");
    println!("result {}", result.map_or_else(error, |_| "Ok".into()));
    println!("mask {}", if now == before { "as it was" } else { "changed" });
    println!("children {}", left());
    taken.pop();
    println!("then {}", fork_and_wait(|| 3));
}

/// The last numbers are taken in the middle of the fork.
pub fn numbers_run_out() {
    static TAKEN: Mutex<Vec<std::os::fd::OwnedFd>> = Mutex::new(Vec::new());
    fn take() {
        TAKEN.lock().expect("one thread").extend(fill());
    }
    lower_limit();
    AtFork { before: Some(take), parent: None, child: None }.register();
    println!("status {}", fork_and_wait(|| 3));
    println!("children {}", left());
}

/// A sandbox in which pidfd_open is refused, from the beginning, or from the middle of the fork on.
pub fn no_pidfd(when: &str) -> i32 {
    static SANDBOXED: AtomicBool = AtomicBool::new(true);
    fn sandbox() {
        SANDBOXED.store(refuse(libc::SYS_pidfd_open).is_ok(), Ordering::Relaxed);
    }
    match when {
        "before" => sandbox(),
        _ => AtFork { before: Some(sandbox), parent: None, child: None }.register(),
    }
    if SANDBOXED.load(Ordering::Relaxed) {
        attempt();
    }
    // It may have failed in the middle of the fork.
    if !SANDBOXED.load(Ordering::Relaxed) {
        eprintln!("seccomp");
        return REFUSED;
    }
    0
}

/// From now on, in this process and its children, that system call answers EPERM: see seccomp(2).
fn refuse(call: libc::c_long) -> nix::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The call's number is what comes first.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the call reads the program, which is there until it is back.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    Errno::result(set).map(drop)
}
