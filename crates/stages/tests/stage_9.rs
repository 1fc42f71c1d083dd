//! What breaks stage 8 and not stage 9: a sandbox that refuses epoll.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_no_new_privs;
use support::{Anchor, Stage, from, kill_by_pid};

mod support;

/// Makes `epoll_create1` fail with this errno in the process that the command starts: see seccomp(2).
fn refuse_epoll(command: &mut Command, answer: Errno) {
    let step = |code: u32, k, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    // A program of four instructions, see seccomp(2). `jt` and `jf` say how many instructions a jump skips if its
    // condition is true or false.
    let mut filter = [
        // Load the word at offset 0 of seccomp_data, which is the number of the call.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        // Go on if it is epoll_create1, and otherwise skip the next instruction.
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_epoll_create1 as u32, 0, 1),
        // Fail with this errno.
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | answer as u32, 0, 0),
        // Let the call run.
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let sandbox = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // Without this, the kernel lets only a privileged process set a filter.
        set_no_new_privs()?;
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: the kernel copies the program, which is whole and as long as it says, before the call returns.
        let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
        Errno::result(set).map(drop).map_err(io::Error::from)
    };
    // SAFETY: the closure runs after a fork and makes two system calls. It neither allocates nor takes a lock.
    unsafe { command.pre_exec(sandbox) };
}

/// How many epolls a process has.
fn epolls(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let targets = entries.map(|entry| fs::read_link(entry.expect("an entry").path()).unwrap_or_default());
    targets.filter(|target| target.to_string_lossy() == "anon_inode:[eventpoll]").count()
}

/// The exit status of a server that must not start, and what it says.
fn fails(mut command: Command) -> (Option<i32>, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("it starts");
    let mut said = String::new();
    server.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    (server.wait().expect("it is a child").code(), said)
}

#[test]
fn stage_8_cannot_start_where_epoll_is_refused() {
    let mut command = Command::new(testing::program!("stage"));
    command.args(["8", "0"]).env_remove("PROCESSES");
    refuse_epoll(&mut command, Errno::EPERM);
    let (code, said) = fails(command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("epoll_create1") && said.contains("EPERM"), "{said}");
}

#[test]
fn stage_9_sleeps_in_poll_where_epoll_is_refused_or_missing() {
    testing::needs!(loopback);
    for answer in [Errno::EPERM, Errno::ENOSYS] {
        let stage = Stage::with(9, "/dev/null", |command| refuse_epoll(command, answer));
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        let anchor = Anchor::new();
        let (client, pid) = stage.silent(&anchor);
        let idle = stage.connect();
        client.gets_nothing("its program is still running");
        kill_by_pid(&pid);
        assert_eq!(client.rest(), "killed by SIGKILL\n", "signals wake a loop on poll, too");
        assert_eq!(idle.rest(), "", "and its timers run");
        assert_eq!(epolls(stage.pid()), 0);
        stage.end();
    }
}

#[test]
fn from_stage_8_on_the_loop_sleeps_in_epoll_where_there_is_one() {
    testing::needs!(loopback);
    for n in from(8) {
        let stage = Stage::start(n);
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        assert_eq!(epolls(stage.pid()), 1, "stage {n}");
        stage.end();
    }
}

#[test]
fn stage_9_does_not_take_a_lack_of_descriptors_for_a_lack_of_epoll() {
    let mut command = Command::new("/bin/sh");
    // 0, 1, 2 and the listener: no descriptor is left for an epoll.
    command
        .args(["-c", "ulimit -n 4; exec \"$0\" 9 0"])
        .arg(testing::program!("stage"))
        .env_remove("PROCESSES");
    let (code, said) = fails(command);
    assert_eq!(
        code,
        Some(1),
        "a loop on poll would be slow for good, although epoll_create1 may succeed a moment later: {said}"
    );
    assert!(said.contains("epoll_create1") && said.contains("EMFILE"), "{said}");
}
