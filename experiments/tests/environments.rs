//! A poor environment is no verdict: an experiment agrees there too, or is skipped with the reason. It never disagrees, never
//! ends without a report, and never hangs.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use experiments::refuse;
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};
use support::case::{
    Case,
    Expected::{Agrees, Skips},
    HTTP, can_refuse,
};
use support::{experiments, program, run};

mod support;

#[test]
fn blocked_signals_are_unblocked() {
    for experiment in
        ["signal-during-read", "exits-per-sigchld", "server-8", "alarm-during-wait"].into_iter().chain(HTTP)
    {
        let block = || pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
        Case::new(experiment, "every signal blocked", block).check(&Agrees);
    }
}

#[test]
fn ignored_signals_get_their_default_action() {
    for experiment in ["zombie", "exits-per-sigchld", "server-4", "broken-pipe"].into_iter().chain(HTTP) {
        for ignored in [Signal::SIGCHLD, Signal::SIGPIPE, Signal::SIGTERM] {
            // SAFETY: SIG_IGN runs no code.
            let ignore = move || unsafe { signal(ignored, SigHandler::SigIgn) }.map(drop);
            Case::new(experiment, ignored.as_str(), ignore).check(&Agrees);
        }
    }
}

#[test]
fn too_few_descriptors_are_the_reason_unless_the_limit_can_be_raised() {
    for experiment in ["fd-vanishes", "server-5"].into_iter().chain(HTTP) {
        let hard = || setrlimit(Resource::RLIMIT_NOFILE, 64, 64);
        Case::new(experiment, "ulimit -n 64", hard).check(&Skips("64 descriptors"));
        let soft = || setrlimit(Resource::RLIMIT_NOFILE, 64, getrlimit(Resource::RLIMIT_NOFILE)?.1);
        Case::new(experiment, "ulimit -S -n 64", soft).check(&Agrees);
    }
    // It needs the numbers 1200 and 1201.
    if getrlimit(Resource::RLIMIT_NOFILE).is_ok_and(|(_, hard)| hard >= 1201) {
        let one_too_few = || setrlimit(Resource::RLIMIT_NOFILE, 1201, 1201);
        Case::new("select-beyond-1024", "ulimit -n 1201", one_too_few).check(&Skips("1201 descriptors"));
    }
}

#[test]
fn a_variable_for_the_readers_own_server_changes_nothing() {
    for (experiment, processes) in [("server-8", "many"), ("server-9", "2"), ("server-12", "2")] {
        let mut case = Case::new(experiment, "PROCESSES", || Ok(()));
        case.command.env("PROCESSES", processes);
        case.check(&Agrees);
    }
}

#[test]
fn a_program_of_the_server_that_does_not_work_here_is_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // As in a container with busybox, whose tail does not know --pid. server-4 would wait for it without end.
    symlink("/bin/false", folder.path().join("tail")).expect("a tail that fails");
    let inherited = std::env::var("PATH").unwrap_or_default();
    let other_tail = format!("{}:{inherited}", folder.path().display());
    for (experiment, path, reason) in [
        ("server-1", "/nonexistent", "`upper` does not work here"),
        ("server-2", &*other_tail, "`silent` does not work here"),
        ("server-4", &*other_tail, "`silent` does not work here"),
        ("server-8", &*other_tail, "`silent` does not work here"),
    ] {
        let mut case = Case::new(experiment, "another PATH", || Ok(()));
        case.command.env("PATH", path);
        case.check(&Skips(reason));
    }
}

#[test]
fn without_room_for_signals_in_the_queue_an_experiment_still_has_a_time_limit() {
    let none = || setrlimit(Resource::RLIMIT_SIGPENDING, 0, 0);
    Case::new("fd-vanishes", "ulimit -i 0", none).check(&Agrees);
    for experiment in ["blocked-loop", "server-8", "shared-nonblocking"] {
        Case::new(experiment, "ulimit -i 0", none).check(&Skips("ulimit -i"));
    }
}

#[test]
fn a_call_that_a_sandbox_refuses_is_replaced_or_is_the_reason() {
    if !can_refuse() {
        return;
    }
    for errno in [Errno::ENOSYS, Errno::EPERM] {
        for (experiment, call, environment, expected) in [
            ("fd-vanishes", libc::SYS_close_range, "close_range refused", Agrees),
            ("server-2", libc::SYS_close_range, "close_range refused", Agrees),
            ("close-by-hand", libc::SYS_close_range, "close_range refused", Skips("close_range")),
            ("server-6", libc::SYS_pidfd_open, "pidfd_open refused", Skips("pidfd_open")),
            ("kill-and-replace", libc::SYS_pidfd_open, "pidfd_open refused", Skips("pidfd_open")),
            ("worker-killed-under-load", libc::SYS_pidfd_open, "pidfd_open refused", Skips("pidfd_open")),
            ("server-12", libc::SYS_ptrace, "ptrace refused", Skips("ptrace")),
            ("undrained-waker", libc::SYS_eventfd2, "eventfd refused", Skips(".rs:")),
            // Refused in a child, in a thread that serves, and in a child for which the parent waits at a gate.
            ("server-8", libc::SYS_epoll_create1, "epoll refused", Skips("epoll_create1")),
            ("hostile-page", libc::SYS_epoll_create1, "epoll refused", Skips("epoll_create1")),
            ("no-descriptors-left", libc::SYS_epoll_create1, "epoll refused", Skips(".rs:")),
            // Refused in a child whose parent then gets end of file: it must not kill the child before it has said why.
            ("missing-eof", libc::SYS_dup2, "dup2 refused", Skips("missing-eof.rs:")),
            ("copy-on-write", libc::SYS_prctl, "prctl refused", Skips("prctl(2)")),
            // The same, and the parent waits until the child sleeps.
            ("interrupted-calls", libc::SYS_epoll_create1, "epoll refused", Skips("interrupted-calls.rs:")),
            ("fd-vanishes", libc::SYS_memfd_create, "memfd_create refused", Skips("timeline.rs:")),
            ("epoll-refused", libc::SYS_seccomp, "seccomp(2) refused", Agrees),
            // A thread could not end this one's sleep, and a child could not be killed.
            ("signal-during-read", libc::SYS_tgkill, "tgkill refused", Skips("tgkill (")),
            ("server-2", libc::SYS_kill, "kill refused", Skips("kill (")),
            // The server would wait for its handler, which is blocked.
            ("blocking-handler", libc::SYS_ioctl, "ioctl refused", Skips("ioctl (")),
            ("variables-across-await", libc::SYS_sendto, "sendto refused", Skips("sendto (")),
            ("server-1", libc::SYS_setsockopt, "setsockopt refused", Skips("setsockopt (")),
            ("exits-per-sigchld", libc::SYS_wait4, "wait4 refused", Skips("wait4 (")),
            // Clients would wait for their answers.
            ("server-6", libc::SYS_accept4, "accept4 refused", Skips("accept4 (")),
            // A panic, in nix and in std, and another answer.
            ("closed-but-reported", libc::SYS_dup2, "dup2 refused", Skips("dup2 (")),
            ("slow-client", libc::SYS_clock_nanosleep, "clock_nanosleep refused", Skips("clock_nanosleep (")),
            (
                "interrupted-calls",
                libc::SYS_clock_nanosleep,
                "no clock_nanosleep",
                Skips("clock_nanosleep ("),
            ),
            ("signal-before-poll", libc::SYS_epoll_pwait, "epoll_pwait refused", Skips("epoll_pwait (")),
        ] {
            Case::new(experiment, environment, move || refuse(call, errno)).check(&expected);
        }
    }
}

#[test]
fn a_child_that_fails_ends_its_parents_wait() {
    if !can_refuse() {
        return;
    }
    // EINVAL says nothing about the environment, so it is a disagreement.
    for (experiment, call) in
        [("no-descriptors-left", libc::SYS_epoll_create1), ("server-12", libc::SYS_dup2)]
    {
        let mut command = Command::new(program(experiment));
        command.arg("--json");
        // SAFETY: system calls and nothing else, so it may run between fork and exec.
        unsafe { command.pre_exec(move || Ok(refuse(call, Errno::EINVAL)?)) };
        let run = run(&mut command);
        // The book's server needs dup2 for its programs, and that is the reason to skip.
        let ended = matches!(run.status, Some(1 | 3));
        assert!(
            ended,
            "{experiment} must end with a report, but: {:?}: {}{}",
            run.status, run.stdout, run.stderr
        );
    }
}

#[test]
fn a_limit_of_processes_is_the_reason() {
    if !can_refuse() {
        return;
    }
    // As RLIMIT_NPROC does for every user but root. The C library forks and starts threads with clone or clone3.
    for experiment in ["fork-returns-twice", "lost-wake-up", "cost-of-fork", HTTP[0], HTTP[1]] {
        let limit = || {
            refuse(libc::SYS_clone3, Errno::EAGAIN)?;
            refuse(libc::SYS_clone, Errno::EAGAIN)
        };
        Case::new(experiment, "no more processes", limit).check(&Skips("ulimit -u"));
    }
    // As older filters of containers do, which do not know clone3. The C library does not fall back to clone after EPERM.
    let no_threads = || refuse(libc::SYS_clone3, Errno::EPERM);
    Case::new("poll-and-readiness", "no threads", no_threads).check(&Skips("no thread can be started"));
    Case::new("blocked-loop", "no threads", no_threads).check(&Skips("blocked-loop.rs:"));
}

#[test]
fn a_folder_for_temporary_files_is_not_needed() {
    for folder in ["/nonexistent", "/proc/self", &format!("/tmp/{}", "long".repeat(25))] {
        let mut case = Case::new("fork-copies-one-thread", "TMPDIR", || Ok(()));
        case.command.env("TMPDIR", folder);
        case.check(&Agrees);
    }
}

#[test]
fn every_experiment_that_connects_asks_first_whether_it_can() {
    for (name, path) in experiments() {
        let source = fs::read_to_string(path.with_extension("rs")).expect("an experiment's source");
        let connects = source.contains("TcpListener::bind") || source.contains("connect_from(");
        let asks = ["lab.listen(", "lab.beside(0", "lab.prefork(", "lab.server(", "cannot be used"];
        assert!(
            !connects || asks.iter().any(|call| source.contains(call)),
            "{name} binds a socket itself: without a loopback interface it would disagree. Lab::listen asks first"
        );
    }
}
