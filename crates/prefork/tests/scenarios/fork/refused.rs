//! Forks that fail, and what they leave behind.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::{self, ForkResult, Gid, Uid, chroot, getpid, mkdir, setgid, setuid};
use testing::REFUSED;

use super::super::support::helper::children::{end, left};
use super::at_fork::AtFork;
use super::table::{changes, fill, lower_limit, open_now};
use super::{error, fork, fork_and_wait, say};

/// Try to fork, and print the result and what has changed.
fn attempt() {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR2);
    blocked.thread_set_mask().expect("a mask can be set");
    let before = open_now();
    let result = fork(|| {
        say("the child ran");
        super::super::support::helper::children::idle()
    });
    println!("result {}", result.map_or_else(error, |_| "Ok".into()));
    let now = SigSet::thread_get_mask().expect("a mask can be read");
    println!("mask {}", if now == blocked { "unchanged" } else { "changed" });
    println!("table {}", changes(&before, &open_now()));
    println!("children {}", left());
}

/// Fork as a user who has reached the limit of processes.
pub fn limit() -> i32 {
    // The limit does not apply to root.
    if Uid::effective().is_root() {
        let result = setgid(Gid::from_raw(65534)).and_then(|()| setuid(Uid::from_raw(65534)));
        if let Err(errno) = result {
            eprintln!("setuid: {errno}");
            return REFUSED;
        }
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit can be read");
    setrlimit(Resource::RLIMIT_NPROC, 0, hard).expect("a limit can be lowered");
    // In a user namespace without a map, root has another number.
    // SAFETY: the helper has one thread, so the child may call whatever the helper may.
    match unsafe { unistd::fork() } {
        // SAFETY: it ends the process at once, so nothing of it is used afterwards.
        Ok(ForkResult::Child) => unsafe { libc::_exit(0) },
        Ok(ForkResult::Parent { child }) => {
            end(child);
            eprintln!("RLIMIT_NPROC does not apply to this user");
            return REFUSED;
        }
        Err(_) => attempt(),
    }
    if setrlimit(Resource::RLIMIT_NPROC, soft, hard).is_ok() {
        println!("then {}", fork_and_wait(|| 3));
    }
    println!("left {}", left());
    0
}

/// Fork without a free descriptor, and then with one.
pub fn no_descriptor() {
    lower_limit();
    // `attempt` would need descriptors itself, so do without it.
    let mut taken = fill();
    let before = SigSet::thread_get_mask().expect("a mask can be read");
    let result = fork(|| {
        say("the child ran");
        super::super::support::helper::children::idle()
    });
    let now = SigSet::thread_get_mask().expect("a mask can be read");
    println!("result {}", result.map_or_else(error, |_| "Ok".into()));
    println!("mask {}", if now == before { "unchanged" } else { "changed" });
    println!("children {}", left());
    taken.pop();
    println!("then {}", fork_and_wait(|| 3));
}

/// The last free descriptors are taken in the middle of the fork.
pub fn descriptors_run_out() {
    static TAKEN: Mutex<Vec<std::os::fd::OwnedFd>> = Mutex::new(Vec::new());
    fn take() {
        TAKEN.lock().expect("one thread").extend(fill());
    }
    lower_limit();
    AtFork { before: Some(take), parent: None, child: None }.register();
    println!("status {}", fork_and_wait(|| 3));
    println!("children {}", left());
}

/// Fork in a sandbox that forbids pidfd_open, from the start or from the middle of the fork on.
pub fn no_pidfd(when: &str) -> i32 {
    static SANDBOXED: AtomicBool = AtomicBool::new(true);
    fn sandbox() {
        SANDBOXED.store(forbid(libc::SYS_pidfd_open).is_ok(), Ordering::Relaxed);
    }
    match when {
        "before" => sandbox(),
        _ => AtFork { before: Some(sandbox), parent: None, child: None }.register(),
    }
    if SANDBOXED.load(Ordering::Relaxed) {
        attempt();
    }
    // `sandbox` may have failed in the middle of the fork.
    if !SANDBOXED.load(Ordering::Relaxed) {
        eprintln!("seccomp");
        return REFUSED;
    }
    0
}

/// Fork in a process that cannot see /proc.
pub fn no_proc() -> i32 {
    let empty = std::env::temp_dir().join(format!("prefork-root-{}", getpid()));
    let made = mkdir(&empty, Mode::S_IRWXU)
        .and_then(|()| unshare(CloneFlags::CLONE_NEWUSER))
        .and_then(|()| chroot(&empty));
    let _ = std::fs::remove_dir(&empty);
    if let Err(errno) = made {
        eprintln!("a root folder of its own: {errno}");
        return REFUSED;
    }
    println!("result {}", fork(|| 3).map_or_else(error, |_| "Ok".into()));
    println!("children {}", left());
    0
}

/// Make a system call fail with EPERM in this process and its future children: see seccomp(2).
pub fn forbid(call: libc::c_long) -> nix::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The system call's number is the first field of `struct seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the call reads the program, which lives until the call returns.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    Errno::result(set).map(drop)
}
